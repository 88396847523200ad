#!/usr/bin/env bash
# Installs the headers of Boost (libboost-dev), which allocator-bench compares with, if they are missing. Says nothing
# when they are there. Where apt-get is not, it says what to install.
#
#     Scripts/install-boost.sh [SOURCE]
#
# SOURCE is touched after an installation: a build that was made without the headers does not know that they came.
set -eu

if echo '#include <boost/pool/pool.hpp>' | "${CXX:-clang++}" -xc++ -fsyntax-only - 2>/dev/null; then exit 0; fi

if ! command -v apt-get >/dev/null; then
    echo "Boost's headers are missing; install your system's package of them (Debian's is libboost-dev)." >&2
    exit 1
fi
as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "Boost's headers are missing; as root, run: apt-get install libboost-dev" >&2
        exit 1
    fi
    as_root=(sudo)
fi
run() { "${as_root[@]}" "$@"; }

echo "Installing for the benchmarks of the allocators: libboost-dev (headers of Boost)"
run apt-get -q update || echo "The package lists could not be renewed; going on with the ones that are there." >&2
run env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install libboost-dev
if [[ $# -gt 0 ]]; then touch "$1"; fi
