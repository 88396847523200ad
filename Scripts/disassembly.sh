#!/usr/bin/env bash
# Prints the instructions of malloc, free and a bucket, and counts those of the hit path: from the entry to the first
# return, jumps to the slow paths not taken.
#
# usage: Scripts/disassembly.sh [LIBRARY]      build/lib/libmallow.so unless given
set -euo pipefail
library=$(realpath "${1:-$(dirname "$0")/../build/lib/libmallow.so}")

toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
objdump=$(command -v "$toolchain/llvm-objdump" || command -v llvm-objdump || command -v objdump)
for name in mallow_malloc mallow_free mallow_bucket_allocate; do
    "$objdump" -d --no-show-raw-insn --disassemble-symbols="$name" "$library" 2>/dev/null ||
        "$objdump" -d --no-show-raw-insn --disassemble="$name" "$library"
done | awk '
    /<mallow_[a-z_]*>:/ { name = $2; count = 0; done = 0; print; next }
    /^ *[0-9a-f]+:/ {
        if (!done) count++
        print
        if (!done && /ret/) { done = 1; printf "        -- %s hit path: %d instructions\n", name, count }
    }'
