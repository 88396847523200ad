#!/usr/bin/env bash
# What `make bench` runs: builds this package (optimised) and compares libmallow.so with the other mallocs.
#
#   Scripts/bench.sh [OPTION OF malloc-bench]…
#
# SCRATCH_PATH names the build directory if it should not be .build of this package; MALLOW_LIBRARY the library if it
# is not build/lib/libmallow.so of the repository.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
scratch=${SCRATCH_PATH:-$package/.build}
library=${MALLOW_LIBRARY:-$package/../build/lib/libmallow.so}

swift build -c release --package-path "$package" --scratch-path "$scratch" >&2
# The library is named last but one, so that an option of the caller comes after it and wins.
exec "$scratch/release/malloc-bench" --mallow "$library" "$@"
