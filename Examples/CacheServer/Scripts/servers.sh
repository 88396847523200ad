# Starting and stopping cache servers, for the scripts beside this file, which source it.
#
#   free_ports COUNT             ports that nobody listens on, a line each
#   start_server LOG PORT CMD…   starts CMD with -l 127.0.0.1 -p PORT behind it, waits until it answers: $server_pid
#   stop_server PID              SIGTERM, and its exit status; 124 where it had to be killed after 20 seconds
#   stop_all_servers             for a trap: kills what was started and is left

server_pids=()

free_ports() {
    PYTHONPATH=$(dirname "${BASH_SOURCE[0]}")/../Tests/clients python3 -c '
import sys, wire
print(*wire.free_ports(int(sys.argv[1])), sep="\n")' "$1"
}

answers() {
    local line
    exec {connection}<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'version\r\n' >&"$connection"
    read -r -t 5 line <&"$connection" || line=
    exec {connection}>&-
    [[ $line == VERSION* ]]
}

start_server() {
    local log=$1 port=$2 attempt
    shift 2
    "$@" -l 127.0.0.1 -p "$port" </dev/null >"$log" 2>&1 &
    server_pid=$!
    server_pids+=("$server_pid")
    for ((attempt = 0; attempt < 200; attempt++)); do
        if answers "$port" 2>/dev/null; then return 0; fi
        if ! kill -0 "$server_pid" 2>/dev/null; then break; fi
        sleep 0.05
    done
    echo "This server does not answer on port $port: $*" >&2
    tail -n 20 "$log" >&2
    return 1
}

stop_server() {
    local pid=$1 attempt left=() other status=0
    kill -TERM "$pid" 2>/dev/null || true
    for ((attempt = 0; attempt < 400; attempt++)); do
        if ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.05
    done
    if kill -KILL "$pid" 2>/dev/null; then
        wait "$pid" 2>/dev/null || true
        status=124
    else
        wait "$pid" 2>/dev/null || status=$?
    fi
    for other in "${server_pids[@]}"; do if [[ $other != "$pid" ]]; then left+=("$other"); fi; done
    server_pids=("${left[@]}")
    return "$status"
}

stop_all_servers() {
    local pid
    for pid in "${server_pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait
}

# Debian's memcached, which refuses to run as root unless it is told whom to become.
memcached_command() {
    if ((EUID == 0)); then echo memcached -u nobody; else echo memcached; fi
}
