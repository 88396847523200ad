#!/usr/bin/env bash
# What `make bench-server` runs: the server under wrk on glibc's malloc, jemalloc, mimalloc, tcmalloc and Mallow in
# turn. Prints requests a second, latency, processor time and resident memory over time, with ratios to the best other.
# About three minutes a round once it is built. Installs what is missing.
#
#     Examples/HummingbirdServer/Scripts/bench-server.sh [OPTION OF Load/measure.py]…
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
swift=${SWIFT:-swift}
"$package/Scripts/install-server-packages.sh" bench >&2
"$swift" build -c release --package-path "$package" --product HummingbirdServer >&2
server=$("$swift" build -c release --package-path "$package" --show-bin-path)/HummingbirdServer

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
echo "built with: $("$swift" --version 2>/dev/null | head -n 1)"
# The caller's own --mallow comes later and wins.
python3 "$package/Load/measure.py" "$server" --mallow "$package/../../build/lib/libmallow.so" "$@"
