#!/usr/bin/env bash
# Real clients against the cache server: each script of Tests/clients runs against Debian's memcached and against the
# server, and what both printed must be the same; then the server is tortured. About a minute. Installs what is missing.
#
#     Examples/CacheServer/Scripts/test-clients.sh [SERVER COMMAND…]
#
# The command gets `-l 127.0.0.1 -p PORT -m 64 -t 4` behind it; without one, CacheServer is built and run. Ends with
# status 1 and a diff (memcached's lines with -, the server's with +) where something differs. Environment:
#   TORTURE_SECONDS=20, TORTURE_SEED=1   how long the torture takes, and which one; 0 seconds: none
#   NO_LEAK_CHECK=1                      for a server that does not say "arena: no leaks" when it stops
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=servers.sh
. "$package/Scripts/servers.sh"
"$package/Scripts/install-cache-packages.sh" >&2

if (($# == 0)); then
    swift=${SWIFT:-swift}
    "$swift" build -c release --package-path "$package" --product CacheServer >&2
    set -- "$("$swift" build -c release --package-path "$package" --show-bin-path)/CacheServer"
fi
ours=("$@")
read -r -a theirs < <(memcached_command)
read -r -a torture_options <<<"${NO_LEAK_CHECK:+--no-leak-check}"

work=$(mktemp -d)
trap 'stop_all_servers; rm -rf "$work"' EXIT
clients=$package/Tests/clients
python=$package/build/clients/bin/python

# One client script against one server of its own, which must stop in good order.
talk() {
    local side=$1 name=$2 port=$3 status=0 options
    local -n command=$side
    read -r -a options <<<"-m 64 -t 4 ${more_options[$name]:-}"
    # These servers are this subshell's.
    server_pids=()
    trap 'stop_all_servers' EXIT
    start_server "$work/$side.$name.log" "$port" "${command[@]}" "${options[@]}" || return 1
    # shellcheck disable=SC2086 # an interpreter and a file
    timeout 120 ${scripts[$name]} 127.0.0.1 "$port" >"$work/$side.$name" 2>"$work/$side.$name.errors" || status=$?
    if ((status != 0)); then
        echo "$name: the client ended with status $status against ${command[0]##*/}:"
        tail -n 20 "$work/$side.$name.errors"
        return 1
    fi
    stop_server "$server_pid" || status=$?
    if ((status != 0)); then
        echo "$name: ${command[0]##*/} ended with status $status on SIGTERM:"
        tail -n 20 "$work/$side.$name.log"
        return 1
    fi
    if [[ $side == ours && -z ${NO_LEAK_CHECK:-} ]] && ! grep -q 'arena: no leaks' "$work/$side.$name.log"; then
        echo "$name: ${command[0]##*/} did not say 'arena: no leaks' when it stopped:"
        tail -n 20 "$work/$side.$name.log"
        return 1
    fi
}

mapfile -t ports < <(free_ports 8)
declare -A scripts=(
    [protocol]="$python $clients/protocol.py"
    [protocol-2m]="$python $clients/protocol.py"
    [pymemcache]="$python $clients/pymemcache_client.py"
    [libmemcached-tools]="bash $clients/tools.sh"
)
# Behind the others, so that these count; by the long names, which are the same for both.
declare -A more_options=([protocol-2m]="--max-item-size=2m --slab-growth-factor=2 --threads=2")
names=(protocol protocol-2m pymemcache libmemcached-tools)
talks=()
for name in "${names[@]}"; do
    for side in theirs ours; do
        talk "$side" "$name" "${ports[${#talks[@]}]}" >"$work/$side.$name.trouble" &
        talks+=($!)
    done
done
failed=0
for talk in "${talks[@]}"; do wait "$talk" || failed=1; done

for name in "${names[@]}"; do
    cat "$work/theirs.$name.trouble" "$work/ours.$name.trouble"
    lines=$(wc -l <"$work/theirs.$name")
    if diff -U 12 --label memcached --label "${ours[0]##*/}" "$work/theirs.$name" "$work/ours.$name" \
        >"$work/$name.diff"; then
        echo "$name${more_options[$name]:+ (${more_options[$name]})}: $lines lines, the same"
    else
        echo "$name: differs from memcached:"
        cat "$work/$name.diff"
        failed=1
    fi
done

seconds=${TORTURE_SECONDS:-20}
if [[ $seconds != 0 ]]; then
    "$python" "$clients/torture.py" --seconds "$seconds" --seed "${TORTURE_SEED:-1}" "${torture_options[@]}" \
        "${ours[@]}" -t 4 || failed=1
fi

if ((failed)); then
    echo "The clients found something wrong." >&2
    exit 1
fi
echo "The clients found nothing wrong."
