#!/usr/bin/env bash
# What `make bench-allocators` runs: builds allocator-bench (optimised) and compares Mallow's allocators with malloc,
# std::pmr and Boost.Pool.
#
#   Scripts/bench-allocators.sh [OPTION OF allocator-bench]…
#
# Boost's headers (the Debian package libboost-dev) are installed where they are missing and apt-get is there; without
# them the comparison does without Boost.Pool, and says so. SCRATCH_PATH names the build directory if it should not be
# .build of this package, SWIFT the compiler driver.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
scratch=${SCRATCH_PATH:-$package/.build}

"$package/Scripts/install-boost.sh" "$package/Sources/AllocatorRivals/rivals.cpp" >&2 ||
    echo "Going on without Boost.Pool." >&2
"${SWIFT:-swift}" build -c release --package-path "$package" --scratch-path "$scratch" --product allocator-bench >&2
exec "$scratch/release/allocator-bench" "$@"
