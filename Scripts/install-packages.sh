#!/usr/bin/env bash
# Installs Debian packages, saying which and for what; where apt-get is not, or nobody is root, it says what to do.
#
#     Scripts/install-packages.sh "the tests" PACKAGE…
set -eu
for_what=$1
shift
(($# > 0)) || exit 0
mapfile -t packages < <(printf '%s\n' "$@" | sort -u)

if ! command -v apt-get >/dev/null; then
    echo "$for_what: what these Debian packages hold is missing; install your system's own: ${packages[*]}" >&2
    exit 1
fi
as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "$for_what: these packages are missing; as root, run: apt-get install ${packages[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
run() { "${as_root[@]}" "$@"; }

# Installing a server would start it as a service, which fails in a container, and which nobody asked for.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap 'run rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | run tee "$policy" >/dev/null
    run chmod 755 "$policy"
fi

echo "Installing for $for_what: ${packages[*]}"
run apt-get -q update || echo "The package lists could not be renewed; going on with the ones that are there." >&2
run env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${packages[@]}"
