#!/usr/bin/env bash
# What `make bench-segments` runs: builds segment-bench (optimised) and compares Mallow's scalable memory, segmented
# buffers and reader with malloc, [UInt8] and SwiftNIO's ByteBuffer.
#
#   Scripts/bench-segments.sh [OPTION OF segment-bench]…
#
# SCRATCH_PATH names the build directory if it should not be .build of this package, SWIFT the compiler driver.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
scratch=${SCRATCH_PATH:-$package/.build}

"${SWIFT:-swift}" build -c release --package-path "$package" --scratch-path "$scratch" --product segment-bench >&2
exec "$scratch/release/segment-bench" "$@"
