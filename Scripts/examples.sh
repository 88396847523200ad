#!/usr/bin/env bash
# Builds and runs every package under Examples/, each of which ends with an error if its work or its leak check fails.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

for package in Examples/*/; do
    package=${package%/}
    echo "example: $package"
    "$swift" build -c release --package-path "$package" >/dev/null
    "$swift" run -c release --skip-build --package-path "$package"
done
