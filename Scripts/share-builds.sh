#!/usr/bin/env bash
# Lets the packages that depend on SwiftNIO build in one directory, where they have none of their own yet: it takes a minute
# or two to build, once instead of three times. One of them at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

shared=$PWD/.build/with-nio
mkdir -p "$shared"
for package in Examples/CacheServer Examples/StreamServer Tests/AdaptersPackage; do
    # A link whose directory is gone, since the repository was moved or cleaned, is made anew.
    if [ -L "$package/.build" ] || [ ! -e "$package/.build" ]; then ln -sfn "$shared" "$package/.build"; fi
done
