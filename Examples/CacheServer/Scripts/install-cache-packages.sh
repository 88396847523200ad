#!/usr/bin/env bash
# Installs what the cache server is tested and measured with, and is missing: memcached and libmemcached-tools (Debian
# packages), and pymemcache (PyPI) in a virtual environment under build/clients, outside git. Says nothing when all is
# there. Where apt-get is not, it says what to install.
#
#     Examples/CacheServer/Scripts/install-cache-packages.sh
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
environment=$here/build/clients
pymemcache_version=4.0.0

# A command that the tests start, and the Debian package that it comes from.
needed="
    memcached:memcached     memccp:libmemcached-tools     memcslap:libmemcached-tools     python3:python3
    awk:mawk                diff:diffutils                timeout:coreutils
"
missing=()
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done
# Debian's python3 has its virtual environments in a package apart.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi

"$here/../../Scripts/install-packages.sh" "the cache server's tests" "${missing[@]}"

if ! "$environment/bin/python" -c "import pymemcache; assert pymemcache.__version__ == '$pymemcache_version'" \
    2>/dev/null; then
    echo "Installing for the cache server's tests, in $environment: pymemcache $pymemcache_version (PyPI)"
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check "pymemcache==$pymemcache_version"
fi
