#!/usr/bin/env bash
# How many instructions a malloc and a free take when they hit, counted by valgrind's callgrind.
#
#   Scripts/instructions.sh LIBRARY [WORKLOAD] [BINARY_DIRECTORY]
#
# LIBRARY is the malloc to preload ("" for the system's). WORKLOAD is any of MallocWorkloads (default: pair-64, where
# every free empties its page again; in small-window-500 pages stay in use). BINARY_DIRECTORY is where MallocWorkloads
# was built (default: .build/release of this package).
#
# The workload runs with N and with 2N pairs; the difference divided by N is what a pair costs, free of all that
# happens once (loading, the first page). The loop that calls malloc and free is counted apart. Callgrind counts what
# is executed and leaves malloc alone (memcheck replaces it), so the count is the same on any machine and at any load.
set -euo pipefail

library=${1?usage: instructions.sh LIBRARY [WORKLOAD] [BINARY_DIRECTORY]}
workload=${2:-pair-64}
here=$(cd "$(dirname "$0")/.." && pwd)
program=${3:-$here/.build/release}/MallocWorkloads
pairs=200000

command -v valgrind > /dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 69; }
[ -x "$program" ] || { echo "MallocWorkloads is missing: swift build -c release --package-path $here" >&2; exit 69; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Copies without debug information, which valgrind may be too old to read. The code is the same.
strip_debug=$(command -v llvm-objcopy objcopy | head -1 || true)
[ -n "$strip_debug" ] || { echo "objcopy is missing: apt-get install binutils" >&2; exit 69; }
"$strip_debug" --strip-debug "$program" "$work/MallocWorkloads"
program=$work/MallocWorkloads
preload=
if [ -n "$library" ]; then
    preload=$work/$(basename "$library")
    "$strip_debug" --strip-debug "$(realpath "$library")" "$preload"
fi

# run NAME PAIRS: leaves the function table of that run in $work/NAME.txt, one "instructions function" a line.
run() {
    if ! LD_PRELOAD=$preload valgrind --tool=callgrind --callgrind-out-file="$work/$1.out" \
        "$program" --operations "$2" "$workload" > "$work/$1.log" 2>&1; then
        cat "$work/$1.log" >&2
        exit 1
    fi
    if [ -n "$preload" ] && ! grep -qF " malloc=$preload" "$work/$1.log"; then
        echo "the preload had no effect: $(cat "$work/$1.log")" >&2
        exit 1
    fi
    sed -n 's/.* operations=\([0-9]*\) .*/\1/p' "$work/$1.log" > "$work/$1.count"
    # Lines of the table: "1,234,567 (12.3%)  file:function [object]".
    LC_ALL=C callgrind_annotate --threshold=100 --show-percs=no "$work/$1.out" |
        sed -n 's/^ *\([0-9][0-9,]*\)  *[^ ]*:\([^ ].*\)$/\1 \2/p' |
        sed -e 's/^\([0-9,]*\) /\1\t/' |
        awk -F'\t' '{ gsub(",", "", $1); print $1 "\t" $2 }' > "$work/$1.txt"
}

run once "$pairs"
run twice $((2 * pairs))

awk -F'\t' -v n="$(($(cat "$work/twice.count") - $(cat "$work/once.count")))" -v workload="$workload" \
    -v library="${library:-the system malloc}" '
    FILENAME ~ /once/ { first[$2] += $1; next }
    { second[$2] += $1 }
    END {
        printf "%s, %s: instructions per pair\n", library, workload
        for (name in second) {
            per_pair = (second[name] - first[name]) / n
            if (per_pair >= 0.05) {
                total += per_pair
                sub(/\[.*\//, "[", name) # the object without its directory
                printf "%10.2f  %s\n", per_pair, name | "sort -rn"
            }
        }
        close("sort -rn")
        printf "%10.2f  in all, with the loop that calls them\n", total
    }' "$work/once.txt" "$work/twice.txt"
