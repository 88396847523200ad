#!/usr/bin/env bash
# What `make bench-stream` runs: the stream server on Mallow's buffers, on [UInt8] (shared, and copied) and on
# SwiftNIO's ByteBuffer, in turn, with the same stream and the same clients. Prints medians, spread and ratios. Installs
# what is missing.
#
#     Examples/StreamServer/Scripts/bench-stream.sh [--rounds 5] [--subscribers 8] [--megabytes 400] [--quick]
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
swift=${SWIFT:-swift}
"$package/Scripts/install-stream-packages.sh" >&2
"$swift" build -c release --package-path "$package" --product StreamServer >&2
server=$("$swift" build -c release --package-path "$package" --show-bin-path)/StreamServer

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$package/Scripts/make-stream.sh" "$work/stream.ts" 10 640x480
echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
echo "built with: $("$swift" --version 2>/dev/null | head -n 1)"
python3 "$package/Tests/clients/measure.py" "$work/stream.ts" "$server" "$@"
