#!/usr/bin/env bash
# What takes too long for `make test`, which runs the same programs for a moment.
#
#   Scripts/endurance.sh soak SECONDS     threads, bursts and changing sizes, with bounded memory; a line a minute
#   Scripts/endurance.sh forks COUNT      forks under churn, in each mode
#
# The modes are lines of settings in MODES, or those below.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1?usage: endurance.sh soak SECONDS | forks COUNT} amount=${2?}
library=$PWD/build/lib/libmallow.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program() {
    cc -std=gnu11 -O2 -g -pthread -fno-builtin -o "$work/$1" "Tests/MallowABITests/Programs/$1.c"
}

case $what in
soak)
    program soak
    LD_PRELOAD=$library "$work/soak" "$amount"
    ;;
forks)
    program conformance_fork
    while read -r mode; do
        echo "$amount forks${mode:+, $mode}"
        # shellcheck disable=SC2086 # the settings are words
        env LD_PRELOAD="$library" $mode "$work/conformance_fork" "$amount"
    done <<<"${MODES-
MALLOW_PURGE_DELAY=0
MALLOW_BACKGROUND=1}"
    ;;
*)
    echo "endurance.sh: soak or forks, not $what" >&2
    exit 2
    ;;
esac
