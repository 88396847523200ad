#!/usr/bin/env bash
# Holds the assembly file that names the malloc's functions in a Swift executable to the list of what the C library
# exports: the same names, for the same functions.
set -euo pipefail
cd "$(dirname "$0")/.."

diff -u <(grep -v '^#' Sources/MallowABI/exports.txt | sort) \
    <(sed -n 's/^ *name \([A-Za-z0-9_]*\), \([A-Za-z0-9_]*\)$/\1 \2/p' Sources/CMallowMalloc/names.S | sort) || {
    echo "a name of Sources/MallowABI/exports.txt (-) needs its line in Sources/CMallowMalloc/names.S (+)" >&2
    exit 1
}
echo "names: the same in the C library and in Swift executables"
