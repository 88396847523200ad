#!/usr/bin/env bash
# What `make examples` runs for this example, which is not over by itself: its own tests, real clients, and the torture.
set -euo pipefail
package=$(cd "$(dirname "$0")" && pwd)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# In release, as the server is built; the tests import nothing that isn't the package's.
if ! "${SWIFT:-swift}" test -c release --disable-testable-imports --package-path "$package" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
grep 'Test run with' "$log" || { cat "$log" >&2; exit 1; }

"$package/Scripts/test-clients.sh"
