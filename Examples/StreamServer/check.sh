#!/usr/bin/env bash
# What `make examples` runs for this example, which is not over by itself: its own tests, then real and bad clients.
set -euo pipefail
package=$(cd "$(dirname "$0")" && pwd)
swift=${SWIFT:-swift}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$package/Scripts/install-stream-packages.sh" >&2

# In release, as everything here is built already; the tests import nothing that isn't public.
if ! "$swift" test -c release --disable-testable-imports --package-path "$package" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
grep 'Test run with' "$work/log" || { cat "$work/log" >&2; exit 1; }

"$swift" build -c release --package-path "$package" --product StreamServer >&2
server=$("$swift" build -c release --package-path "$package" --show-bin-path)/StreamServer
"$package/Scripts/make-stream.sh" "$work/stream.ts"
python3 "$package/Tests/clients/scenarios.py" "$work/stream.ts" "$server"
