#!/usr/bin/env bash
# What `make example-hummingbird` runs for this example: its own tests, then every endpoint over HTTP, on the system's
# malloc and linked with Mallow's. Seconds once it is built; Hummingbird and what it needs take 4.5 minutes of a processor.
set -euo pipefail
package=$(cd "$(dirname "$0")" && pwd)
swift=${SWIFT:-swift}
"$package/Scripts/install-server-packages.sh" check >&2

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# In release, as the server is built; the tests import nothing that isn't public.
if ! "$swift" test -c release --disable-testable-imports --package-path "$package" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
grep 'Test run with' "$log" || { cat "$log" >&2; exit 1; }

products=$("$swift" build -c release --package-path "$package" --show-bin-path)
for product in HummingbirdServer HummingbirdServerOnMallow; do
    "$swift" build -c release --package-path "$package" --product "$product" >&2
    echo "$product:"
    python3 "$package/Tests/clients/requests.py" "$products/$product"
done
