#!/usr/bin/env bash
# Installs what the Hummingbird server is checked with (curl, python3) or measured with (wrk, the other mallocs), and is
# missing, from Debian. Says nothing when all is there. Where apt-get is not, it says what to install.
#
#     Examples/HummingbirdServer/Scripts/install-server-packages.sh check|bench
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)

# A command that is started, and the Debian package that it comes from.
needed="curl:curl python3:python3"
libraries=""
if [[ ${1:-check} == bench ]]; then
    needed="python3:python3 wrk:wrk taskset:util-linux"
    libraries="
        libjemalloc.so.2:libjemalloc2 libmimalloc.so.:libmimalloc2.0 libtcmalloc_minimal.so.4:libtcmalloc-minimal4
    "
fi
missing=()
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done
for entry in $libraries; do
    compgen -G "/usr/lib/*/${entry%%:*}*" >/dev/null || compgen -G "/usr/local/lib/${entry%%:*}*" >/dev/null ||
        missing+=("${entry#*:}")
done

"$here/../../Scripts/install-packages.sh" "the Hummingbird server" "${missing[@]}"
