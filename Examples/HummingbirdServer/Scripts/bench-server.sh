#!/usr/bin/env bash
# What `make bench-server` runs: the server under wrk on glibc's malloc, jemalloc, mimalloc, tcmalloc and Mallow in
# turn. Prints requests a second, latency, processor time and resident memory over time, with ratios to the best other.
# About four minutes a round once it is built. Installs what is missing.
#
#     Examples/HummingbirdServer/Scripts/bench-server.sh [OPTION OF Load/measure.py]…
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
swift=${SWIFT:-swift}
"$package/Scripts/install-server-packages.sh" bench >&2
for product in HummingbirdServer HummingbirdServerOnMallow; do
    "$swift" build -c release --package-path "$package" --product "$product" >&2
done
products=$("$swift" build -c release --package-path "$package" --show-bin-path)

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
echo "built with: $("$swift" --version 2>/dev/null | head -n 1)"
# The caller's own --mallow comes later and wins.
# Mallow three times: preloaded, preloaded with the thread that gives back what is free while nothing is asked, linked.
python3 "$package/Load/measure.py" "$products/HummingbirdServer" \
    --mallow "$package/../../build/lib/libmallow.so" --setting mallow-background:MALLOW_BACKGROUND=1 \
    --linked "mallow-linked=$products/HummingbirdServerOnMallow" "$@"
