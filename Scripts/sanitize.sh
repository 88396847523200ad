#!/usr/bin/env bash
# The heap's and the allocators' tests: what has threads under the thread sanitizer, all of them under the address
# sanitizer, optimised: that is a build as users have it, and takes a fifth of the time. The heap and the pages of the allocators hold many blocks each, so the address sanitizer guards the tests,
# the records and what comes straight from malloc, not every block.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

run() { # name, filter, options of swift test
    local name=$1 filter=$2 log
    shift 2
    log=$(mktemp)
    echo "the heap's and the allocators' tests under the $name sanitizer"
    # LeakSanitizer reports a few hundred bytes of the test runner's own: leaks are counted by the tests themselves.
    if ! ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 "$swift" test --sanitize="$name" --scratch-path ".build/$name" --filter "$filter" "$@" \
        >"$log" 2>&1 || grep -q 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer' "$log"; then
        tail -n 80 "$log" >&2
        rm -f "$log"
        return 1
    fi
    grep 'Test run with' "$log"
    rm -f "$log"
}

allocators='RangeAllocatorsTests|AllocatorCoreTests|ComposableAllocatorsTests|SlabArenasTests|SegmentedBuffersTests|AllocatorTestKitTests'
# The fence that a trim of other threads' heaps relies on is the kernel's: there the hit paths say when they are done.
run thread 'MallocHeapTests.HeapTests/(Threads|Buckets)|BuddyPoolTests|SynchronizedTests|PerThreadTests|CAllocatorTests|SharedAllocatorTests|SharedScalableTests|RangedMemoryPoolTests|SharedSlabArena(Thread|Parts)Tests|SharedRebalancingTests' -Xswiftc -DMALLOW_THREAD_SANITIZER
run address "MallocHeapTests|$allocators" -c release -Xswiftc -enable-testing
