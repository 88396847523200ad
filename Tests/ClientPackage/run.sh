#!/usr/bin/env bash
# Builds the client and runs it, unoptimised and optimised: a deinit that runs in one configuration may be lost in the
# other. The client has no trait on: what the adapters need must not be resolved for it.
set -euo pipefail
cd "$(dirname "$0")"
swift=${SWIFT:-swift}

for configuration in debug release; do
    "$swift" build --quiet -c "$configuration" --product client
    echo "client, $configuration:"
    "$("$swift" build -c "$configuration" --show-bin-path)/client"
done

test -f Package.resolved || { echo "the client resolves nothing, not even what the tool needs" >&2; exit 1; }
if grep -i 'swift-nio' Package.resolved >&2 || find .build/checkouts -maxdepth 1 -iname 'swift-nio*' | grep . >&2; then
    echo "the client resolves SwiftNIO, whose trait it has not turned on" >&2
    exit 1
fi

# A program that names the handlers without the trait is told what to do.
refused=$("${swift}c" -typecheck ../../Sources/MallowNIO/*.swift WithoutTrait.swift 2>&1) &&
    { echo "the handlers are there without the trait NIO" >&2; exit 1; }
for name in SegmentedInboundHandler SegmentedOutboundHandler; do
    grep -qF "'$name' is unavailable: turn on the trait NIO" <<<"$refused" ||
        { echo "without the trait NIO, $name says: $refused" >&2; exit 1; }
done
echo "without the traits nothing of theirs is resolved, and the handlers say what to do"
