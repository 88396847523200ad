#!/usr/bin/env bash
# What `make test` runs after the library and the tool are built: formatting and layers, the heap under both sanitizers,
# then all tests, whose summary comes last.
set -euo pipefail
cd "$(dirname "$0")/.."

make --no-print-directory check
Scripts/sanitize.sh

# The tests look for these where `make` puts them.
export MALLOW_LIBRARY=$PWD/build/lib/libmallow.so MALLOW_TOOL=$PWD/build/bin/mallow
swift test
