#!/usr/bin/env bash
# Builds the client and runs it, unoptimised and optimised: a deinit that runs in one configuration may be lost in the
# other.
set -euo pipefail
cd "$(dirname "$0")"
swift=${SWIFT:-swift}

for configuration in debug release; do
    "$swift" build --quiet -c "$configuration" --product client
    echo "client, $configuration:"
    "$("$swift" build -c "$configuration" --show-bin-path)/client"
done
