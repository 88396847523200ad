#!/usr/bin/env bash
# Debian's libmemcached-tools, a C client library's programs, against a cache server: what each printed and its status,
# as a transcript. The same script against two servers shows by `diff` where they differ.
#
#   tools.sh HOST PORT
#
# What must differ is left out by rule: times, rates, and the values of memcstat, of which the names that a client may
# count on are shown instead.
set -u
host=$1 port=$2
server=--servers=$host:$port
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Prints the command, what it printed (through the filter that follows --, if any) and its status.
run() {
    local status
    echo "$ $*" | sed "s/$host:$port/SERVER/g; s/-p $port/-p PORT/"
    timeout 60 "$@" >printed 2>&1 </dev/null
    status=$?
    "${filter[@]}" <printed | "${order[@]}" | sed "s/$host:$port/SERVER/g; s/(${port})/(PORT)/"
    echo "-> $status"
}
order=(cat) as_it_is=(cat) summed=(sha1sum) filter=("${as_it_is[@]}")
without_times=(sed -E 's/ +[0-9.]+ seconds\.$/ * seconds./')

echo hello >one
python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(200000))' >two
python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(2).randbytes(1000000))' >three
python3 -c 'import sys; sys.stdout.buffer.write(b"x" * 1100000)' >toolarge
printf '\r\n\0END\r\n' >lines
: >empty

run memcping "$server"
run memccp "$server" one two three empty lines
run memccat "$server" one
run memccat "$server" empty
filter=("${summed[@]}")
run memccat "$server" two
run memccat "$server" three
run memccat "$server" lines
run memccat "$server" one two three
filter=("${as_it_is[@]}")
run memccp "$server" toolarge
run memccat "$server" toolarge
run memccp "$server" --add one
run memccp "$server" --add --flags=7 --expire=100 toolarge one
run memccp "$server" --replace one
run memccp "$server" --replace nothing
run memccat "$server" --flags one
run memcexist "$server" one
run memcexist "$server" one nothing
run memctouch "$server" --expire=100 one
run memctouch "$server" --expire=100 nothing
run memcrm "$server" one
run memcrm "$server" one
run memccat "$server" one
run memcexist "$server" one

# Of the tools' own choices: answers waited for or not, small packets at once, sockets that don't block.
run memccp "$server" --buffer one two
filter=("${summed[@]}")
run memccat "$server" one two
filter=("${as_it_is[@]}")
run memccp "$server" --non-blocking --tcp-nodelay one three
filter=("${summed[@]}")
run memccat "$server" --non-blocking --tcp-nodelay one three

order=(sort -u)
names='pid|uptime|time|version|pointer_size|(curr|total)_connections|cmd_(get|set|flush|touch)|cas_badval|threads'
names+='|(get|delete|incr|decr|cas|touch)_(hits|misses)|(curr|total)_items|bytes(_read|_written)?|limit_maxbytes'
names+='|evictions'
filter=(sed -nE "s/^\t($names): .*/\1/p")
run memcstat "$server"
names='active_slabs|total_malloced|chunk_size|chunks_per_page|total_pages|total_chunks|used_chunks|free_chunks'
filter=(sed -nE "s/^\t([0-9]+:)?($names): .*/\2/p")
run memcstat "$server" --args=slabs
order=(cat)
filter=("${as_it_is[@]}")

run memcflush "$server"
run memccat "$server" two
run memccp "$server" one
run memccat "$server" one
run memcflush "$server" --expire=100
run memccat "$server" one

# The library's own conformance test.
run memccapable -h "$host" -p "$port" -a

# Load, with its answers checked by the tool.
filter=("${without_times[@]}")
for test in set get mget; do
    run memcslap "$server" --concurrency=8 --execute-number=1000 --test=$test
done
run memcslap "$server" --concurrency=4 --execute-number=1000 --test=set --flush --non-blocking --tcp-nodelay
filter=(grep -E '^(get_misses|verify_misses|verify_failed|execute number)')
run memcaslap -s "$host:$port" --threads=2 --concurrency=16 --execute_number=20000 --verify=1.0
run memcaslap -s "$host:$port" --threads=2 --concurrency=16 --execute_number=20000 --fixed_size=2000 --verify=1.0
run memcaslap -s "$host:$port" --threads=2 --concurrency=16 --execute_number=20000 --division=50 --verify=1.0
