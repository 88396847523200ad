# Runs a Redis server under its benchmark: redis.sh SOCKET_FOLDER [VARIABLE=VALUE]…, the variables for the server alone.
# Prints what clients get for commands that are always the same, and leaves the benchmark's figures in the folder. The
# server listens on a socket in the folder, never on a port, and writes nothing outside of it.

set -eu
folder=$1
shift
client() { redis-cli -s "$folder/socket" "$@"; }

env "$@" redis-server --port 0 --unixsocket "$folder/socket" --dir "$folder" --save '' --daemonize no \
    --enable-debug-command yes --logfile "$folder/log" &
server=$!
trap 'kill -9 $server 2>/dev/null || true' EXIT
for ((i = 0; i < 200; i++)); do
    client ping >/dev/null 2>&1 && break
    sleep 0.05
done
client ping

# The same keys, lists, hashes, sorted sets and streams each time.
awk 'BEGIN {
    for (i = 0; i < 40000; i++) {
        printf "set key:%d %0*d\r\n", i, i % 700 + 1, i
        printf "rpush list:%d %d\r\n", i % 300, i
        printf "hset hash:%d field%d %0*d\r\n", i % 200, i % 90, i % 100 + 1, i
        printf "zadd sorted:%d %d member%d\r\n", i % 50, i * 7919 % 10007, i
    }
    for (i = 0; i < 40000; i += 3) printf "del key:%d\r\n", i
    for (i = 1; i < 40000; i += 3) printf "append key:%d %0*d\r\n", i, i % 300 + 1, i
}' | client --pipe | tail -1
client dbsize
client lrange list:7 0 5
client zrangebyscore sorted:3 100 400
client eval 'local all = {} for i = 1, 20000 do all[i] = tostring(i) .. string.rep("x", i % 20) end return #table.concat(all)' 0
client debug digest
client bgsave >/dev/null
for ((i = 0; i < 200; i++)); do
    client info persistence | grep -q rdb_bgsave_in_progress:0 && break
    sleep 0.05
done
client info persistence | grep -o 'rdb_last_bgsave_status:[a-z]*'
client debug reload
client debug digest

redis-benchmark -s "$folder/socket" -n 20000 -c 20 -P 4 -d 200 -r 5000 --csv \
    -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset >"$folder/figures"
cut -d, -f1 "$folder/figures"
client info memory | grep -c '^used_memory:[1-9]'
client flushall
client dbsize
client shutdown nosave || true
trap - EXIT
wait $server
