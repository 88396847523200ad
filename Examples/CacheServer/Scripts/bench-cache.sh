#!/usr/bin/env bash
# What `make bench-cache` runs: the cache server beside Debian's memcached, in one run, in turn, with the same client,
# threads and memory limit. Prints a table of medians and ratios beside the targets; a missed target is no error. About
# eight minutes once it is built, six of them the shift. Installs what is missing.
#
#     Examples/CacheServer/Scripts/bench-cache.sh [--quick] [SERVER COMMAND…]
#
# --quick is one round of each, in three minutes: too few to conclude from.
# The command gets `-l 127.0.0.1 -p PORT -m 64 -t 4` behind it; without one, CacheServer is built and run. Environment:
#   ROUNDS=5           rounds of the requests
#   HELD_ROUNDS=3      rounds of the items held
#   SHIFT_ROUNDS=3     rounds of the shift, of SHIFT_SECONDS=60 for each server; memcached moves a slab in a while only
#   REQUESTS=100000    requests of each kind; of 100 KiB a fifth of them
#   RAW=FILE           keeps the single measurements there
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=servers.sh
. "$package/Scripts/servers.sh"
"$package/Scripts/install-cache-packages.sh" >&2

default_rounds=5 default_other_rounds=3
if [[ ${1:-} == --quick ]]; then
    default_rounds=1 default_other_rounds=1
    shift
fi
request_rounds=${ROUNDS:-$default_rounds} held_rounds=${HELD_ROUNDS:-$default_other_rounds}
shift_rounds=${SHIFT_ROUNDS:-$default_other_rounds} shift_seconds=${SHIFT_SECONDS:-60}

swift=${SWIFT:-swift}
"$swift" build -c release --package-path "$package" --product CacheLoad >&2
products=$("$swift" build -c release --package-path "$package" --show-bin-path)
if (($# == 0)); then
    "$swift" build -c release --package-path "$package" --product CacheServer >&2
    set -- "$products/CacheServer"
fi
ours=("$@")
read -r -a theirs < <(memcached_command)
memory=64 threads=4 requests=${REQUESTS:-100000}

work=$(mktemp -d)
trap 'stop_all_servers; rm -rf "$work"' EXIT
: >"$work/results"

# Starts one of the two, measures it with the function named, and stops it.
with_server() {
    local -n command=$1
    local name port log=$work/$1.log
    name=$(basename "${command[0]}")
    if [[ $1 == ours && $name == memcached ]]; then name="memcached, again"; fi
    port=$(free_ports 1)
    start_server "$log" "$port" "${command[@]}" -m $memory -t $threads
    "$2" "$port" "$server_pid" >"$work/measured" || { tail -n 20 "$log" >&2; return 1; }
    sed "s/^/$name\t/" "$work/measured" >>"$work/results"
    stop_server "$server_pid" || { echo "$name ended with status $? on SIGTERM" >&2; return 1; }
}

load() { "$products/CacheLoad" "$@"; }

measure_requests() {
    local operation size
    for size in 100 1024 102400; do
        for operation in get set; do
            load requests --port "$1" --pid "$2" --operation $operation --value-size $size \
                --requests $((size == 102400 ? requests / 5 : requests))
        done
    done
    load requests --port "$1" --pid "$2" --operation get --value-size 100 --pipeline 16 --requests "$requests"
}
# A server of its own for each mix: what is held must not depend on what was.
measure_wide() { load fill --port "$1" --pid "$2" --mix wide --memory $memory; }
measure_small() { load fill --port "$1" --pid "$2" --mix small --memory $memory; }
measure_shift() { load shift --port "$1" --pid "$2" --memory $memory --seconds "$shift_seconds"; }

# Each round begins with the other server.
rounds() {
    local round measure=$2 order=(theirs ours)
    for ((round = 1; round <= $1; round++)); do
        for side in "${order[@]}"; do with_server "$side" "$measure"; done
        order=("${order[1]}" "${order[0]}")
        echo "$measure: round $round of $1, $SECONDS seconds since the start" >&2
    done
}

rounds "$request_rounds" measure_requests
rounds "$held_rounds" measure_wide
rounds "$held_rounds" measure_small
rounds "$shift_rounds" measure_shift
if [[ -n ${RAW:-} ]]; then cp "$work/results" "$RAW"; fi

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
echo "memcached: $(memcached --version), libevent's; server: ${ours[*]}"
echo "client: CacheLoad, 1 thread, 8 connections; $("$swift" --version 2>/dev/null | head -n 1)"
echo "both: -m $memory -t $threads; rounds: $request_rounds of requests (no pipelining unless it says so)," \
    "$held_rounds of items held, $shift_rounds of the shift ($shift_seconds s)"
load summary <"$work/results"
