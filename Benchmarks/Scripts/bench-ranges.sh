#!/usr/bin/env bash
# What `make bench-ranges` runs: builds range-bench (optimised) and compares Mallow's range allocators with trees of the
# free ranges, of std::map and of Boost.Intrusive, and with VMA's virtual blocks.
#
#   Scripts/bench-ranges.sh [OPTION OF range-bench]…
#
# Boost's headers (the Debian package libboost-dev) are installed, and VMA's fetched, where they are missing and apt-get
# is there; without them the comparison does without, and says so. SCRATCH_PATH names the build directory if it should
# not be .build of this package, SWIFT the compiler driver.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
scratch=${SCRATCH_PATH:-$package/.build}
rivals=$package/Sources/RangeRivals

"$package/Scripts/install-boost.sh" "$rivals/range_rivals.cpp" >&2 || echo "Going on without Boost.Intrusive." >&2
"$package/Scripts/fetch-vma.sh" "$rivals/range_rivals.cpp" "$rivals/vma.cpp" >&2 || echo "Going on without VMA." >&2
"${SWIFT:-swift}" build -c release --package-path "$package" --scratch-path "$scratch" --product range-bench >&2
exec "$scratch/release/range-bench" "$@"
