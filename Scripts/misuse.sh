#!/usr/bin/env bash
# Runs the programs of Tests/MallowABITests/Misuse in each mode, several times, and prints what was caught as the table
# of Documentation/CaughtMisuse.md: "yes" each time, "by chance" sometimes, "no" never. With --write, into that page.
#
# usage: Scripts/misuse.sh [--write] [LIBRARY]      build/lib/libmallow.so unless given
set -euo pipefail
cd "$(dirname "$0")/.."
page=Documentation/CaughtMisuse.md rounds=${ROUNDS:-12}

write=
if [ "${1:-}" = --write ]; then write=yes; shift; fi
library=$(realpath "${1:-build/lib/libmallow.so}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -std=gnu11 -O2 -pthread -fno-builtin -w -o "$work/suite" Tests/MallowABITests/Misuse/*.c

# The name of each mode and its settings, as in MisuseSuiteTests.
modes=("default" "hardened MALLOW_HARDENED=1" "hardened_2 MALLOW_HARDENED=2" "guarded MALLOW_GUARD_RATE=1")
"$work/suite" >"$work/list"
for mode in "${modes[@]}"; do
    read -r -a words <<<"$mode"
    for ((round = 0; round < rounds; round++)); do
        "$work/suite" --all 4 LD_PRELOAD="$library" "${words[@]:1}" |
            awk -F'\t' -v mode="${words[0]//_/ }" '{ print mode "\t" $1 "\t" $2 }'
    done
done >"$work/outcomes"

awk -F'\t' -v rounds="$rounds" '
    FILENAME ~ /outcomes$/ {
        if (!($1 in seen)) { seen[$1] = 1; modes[++count] = $1 }
        if ($3 == "caught" || $3 == "harmless") stopped[$1, $2]++
        next
    }
    {
        if ($1 != kind) {
            kind = $1
            printf "\n**%s**\n\n| error | what it is |", kind == "innocent" ? "no error" : kind
            for (i = 1; i <= count; i++) printf " %s |", modes[i]
            printf "\n|---|---|"
            for (i = 1; i <= count; i++) printf "---|"
            print ""
        }
        printf "| `%s` | %s |", $2, $3
        if (kind != "innocent") errors++
        for (i = 1; i <= count; i++) {
            n = stopped[modes[i], $2] + 0
            word = n == rounds ? "yes" : n == 0 ? "no" : "by chance"
            printf " %s |", word
            if (kind == "innocent") continue
            total[kind]++
            if (n == rounds) { all[i]++; part[i, kind]++ }
        }
        print ""
        if (kind != "innocent") { size[kind]++; if (size[kind] == 1) kinds[++kindCount] = kind }
    }
    END {
        printf "\n| kind | errors |"
        for (i = 1; i <= count; i++) printf " %s |", modes[i]
        printf "\n|---|--:|"
        for (i = 1; i <= count; i++) printf "--:|"
        print ""
        for (k = 1; k <= kindCount; k++) {
            printf "| %s | %d |", kinds[k], size[kinds[k]]
            for (i = 1; i <= count; i++) printf " %d |", part[i, kinds[k]]
            print ""
        }
        printf "| all | %d |", errors
        for (i = 1; i <= count; i++) printf " %d (%.0f %%) |", all[i], 100 * all[i] / errors
        print ""
    }' "$work/outcomes" "$work/list" >"$work/table"

if [ -z "$write" ]; then
    cat "$work/table"
    exit 0
fi
awk -v table="$work/table" '
    /<!-- end of the table -->/ { inside = 0 }
    !inside { print }
    /<!-- the table: make misuse -->/ { inside = 1; while ((getline line < table) > 0) print line; print "" }
' "$page" >"$work/page"
cp "$work/page" "$page"
tail -n 1 "$work/table"
