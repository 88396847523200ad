#!/usr/bin/env bash
# What `make bench-slabs` runs: builds slab-bench (optimised) and compares Mallow's slab arenas with malloc and a count,
# std::shared_ptr and SwiftNIO's ByteBuffer.
#
#   Scripts/bench-slabs.sh [OPTION OF slab-bench]…
#
# SCRATCH_PATH names the build directory if it should not be .build of this package, SWIFT the compiler driver.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
scratch=${SCRATCH_PATH:-$package/.build}

"${SWIFT:-swift}" build -c release --package-path "$package" --scratch-path "$scratch" --product slab-bench >&2
exec "$scratch/release/slab-bench" "$@"
