#!/usr/bin/env bash
# What `make bench` runs: builds malloc-bench and its workloads (optimised) and compares libmallow.so with the other
# mallocs.
#
#   Scripts/bench.sh [OPTION OF malloc-bench]…
#
# SCRATCH_PATH names the build directory if it should not be .build of this package. The library is
# build/lib/libmallow.so of the repository, or what --mallow says.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
scratch=${SCRATCH_PATH:-$package/.build}

for product in MallocWorkloads malloc-bench; do
    swift build -c release --package-path "$package" --scratch-path "$scratch" --product "$product" >&2
done
clock=()
if [[ " $* " == *" --atomics "* ]]; then
    cc -O2 -shared -fPIC -Wall -o "$scratch/slow_clock.so" "$package/Scripts/slow_clock.c"
    clock=(--clock "$scratch/slow_clock.so")
fi
# The caller's own --mallow comes later and wins.
exec "$scratch/release/malloc-bench" --mallow "$package/../build/lib/libmallow.so" "${clock[@]}" "$@"
