#!/usr/bin/env bash
# The heap's tests under the thread sanitizer (the threads' suite) and the address sanitizer (all of them). The heap maps
# its own memory, so the address sanitizer guards the tests and the heap's records, not the blocks.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

run() { # name, filter
    local name=$1 filter=$2 log
    log=$(mktemp)
    echo "the heap's tests under the $name sanitizer"
    # LeakSanitizer reports a few hundred bytes of the test runner's own: leaks are counted by the tests themselves.
    if ! ASAN_OPTIONS=detect_leaks=0 "$swift" test --sanitize="$name" --scratch-path ".build/$name" --filter "$filter" \
        >"$log" 2>&1 || grep -q 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer' "$log"; then
        tail -n 80 "$log" >&2
        rm -f "$log"
        return 1
    fi
    grep 'Test run with' "$log"
    rm -f "$log"
}

run thread 'MallocHeapTests.HeapTests/Threads'
run address 'MallocHeapTests'
