#!/usr/bin/env bash
# What takes too long for `make test`, which runs the same programs for a moment.
#
#   Scripts/endurance.sh soak SECONDS     threads, bursts and changing sizes, with bounded memory; a line a minute. As
#                                         long as that by default, a tenth of it in each other mode
#   Scripts/endurance.sh forks COUNT      forks under churn, as many in each mode
#
# The modes are lines of settings in MODES, or those below. The limits are less than the programs would take.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1?usage: endurance.sh soak SECONDS | forks COUNT} amount=${2?}
library=${MALLOW_LIBRARY:-$PWD/build/lib/libmallow.so}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program() {
    cc -std=gnu11 -O2 -g -pthread -fno-builtin -o "$work/$1" "Tests/MallowABITests/Programs/$1.c"
}
# A mode may fail, and the others still tell.
failed=0
in_modes() { # PROGRAM LIMIT, and what is said of an amount
    while read -r mode; do
        count=$amount
        if [ "$1" = soak ] && [ -n "$mode" ]; then count=$(((amount + 9) / 10)); fi
        echo "$count $3, ${mode:-by default}"
        # shellcheck disable=SC2086 # the settings are words
        env LD_PRELOAD="$library" $mode "$work/$1" "$count" || {
            echo "endurance.sh: failed with ${mode:-no settings}" >&2
            failed=1
        }
    done <<<"${MODES-
MALLOW_PURGE_DELAY=0
MALLOW_BACKGROUND=1
MALLOW_HARDENED=1
MALLOW_HARDENED=2
MALLOW_GUARD_RATE=100
MALLOW_LIMIT=$2}"
}

case $what in
soak)
    program soak
    in_modes soak 100000000 seconds
    ;;
forks)
    program conformance_fork
    in_modes conformance_fork 3000000 forks
    ;;
*)
    echo "endurance.sh: soak or forks, not $what" >&2
    exit 2
    ;;
esac
exit "$failed"
