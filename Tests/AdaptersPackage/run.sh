#!/usr/bin/env bash
# Builds the adapters' checks with both traits on and runs them.
set -euo pipefail
cd "$(dirname "$0")"
swift=${SWIFT:-swift}

"$swift" build --quiet -c release --product adapters
"$("$swift" build -c release --show-bin-path)/adapters"
