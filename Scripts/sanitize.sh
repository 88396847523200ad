#!/usr/bin/env bash
# The heap's and the allocators' tests: what has threads under the thread sanitizer, all of them under the address
# sanitizer, optimised: that is a build as users have it, and takes a fifth of the time. The heap and the pages of the
# allocators hold many blocks each, so the address sanitizer guards the tests, the records and what comes straight from
# malloc, not every block.
#
# Each build has the tests alone that it runs (Package.swift), and none of the tool, the C library and the snippets:
# compiling is most of what this costs. Lines in reports need no more than line tables.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

fail() { # log
    tail -n 80 "$1" >&2
    rm -f "$1"
    exit 1
}

run() { # name, filter, options of swift build
    local name=$1 filter=$2 log
    shift 2
    log=$(mktemp)
    echo "the heap's and the allocators' tests under the $name sanitizer"
    local options=(--sanitize="$name" --scratch-path ".build/$name" "$@" -Xswiftc -gline-tables-only)
    "$swift" build "${options[@]}" --product mallowPackageTests >"$log" 2>&1 || fail "$log"
    # LeakSanitizer reports a few hundred bytes of the test runner's own: leaks are counted by the tests themselves.
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
        "$swift" test --skip-build "${options[@]}" --filter "$filter" >"$log" 2>&1 || fail "$log"
    if grep -q 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer' "$log"; then fail "$log"; fi
    # A filter that fits no suite is no success.
    grep 'Test run with [1-9]' "$log" || fail "$log"
    rm -f "$log"
}

heap_suites='(Threads|Buckets)'
suites='(BuddyPool|Synchronized|PerThread|CAllocator|SharedAllocator|SharedScalable|RangedMemoryPool|SharedSlabArena(Thread|Parts)|SharedRebalancing)Tests'
# Files that hold the suites with threads, and what they use.
threaded() { # test target, files without their ending
    local target=$1
    shift
    printf "$target/%s.swift " "$@"
}
MALLOW_TESTS="AllocatorTestKitTests
    $(threaded MallocHeapTests ThreadTests BucketTests FirstClassHeapThreadTests ParkingTests \
    Model RandomSequenceTests)
    $(threaded RangeAllocatorsTests BuddyPoolTests SeededRandom)
    $(threaded ComposableAllocatorsTests SynchronizedTests PerThreadTests CAllocatorTests SharedScalableTests \
    RangedMemoryPoolTests RangedMemoryTests TestAllocators SeededRandom)
    $(threaded SlabArenasTests SharedSlabArenaThreadTests SharedSlabArenaPartsTests SharedRebalancingTests \
    SharedSlabArenaSupport)"
export MALLOW_TESTS=${MALLOW_TESTS//$'\n'/ }
# Such a suite in a file that is not named would be left out unseen.
for file in $(grep -rlE "(struct |extension HeapTests\.)$heap_suites|struct [A-Za-z]*$suites" Tests/*Tests --include='*.swift'); do
    file=${file#Tests/}
    case " $MALLOW_TESTS " in
    *" $file "* | *" ${file%%/*} "*) ;;
    *) echo "$0: $file has a suite with threads and is not among the files to build" >&2; exit 1 ;;
    esac
done
# The fence that a trim of other threads' heaps relies on is the kernel's: there the hit paths say when they are done.
run thread "MallocHeapTests.HeapTests/$heap_suites|$suites" -Xswiftc -DMALLOW_THREAD_SANITIZER

export MALLOW_TESTS='MallocHeapTests RangeAllocatorsTests AllocatorCoreTests ComposableAllocatorsTests SlabArenasTests SegmentedBuffersTests AllocatorTestKitTests'
run address . -c release -Xswiftc -enable-testing
