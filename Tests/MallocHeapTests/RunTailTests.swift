// What lies behind the block of a run, in slices that held memory before: it goes back to the kernel while the block
// lives, and is the block's own when that grows.

import CMallowShims
import SystemMemory
import Testing

@testable import MallocHeap

/// The bytes of a stretch of OS pages that hold memory, as the kernel sees it.
private func residentBytes(_ address: UInt, _ byteCount: UInt) -> UInt {
    let osPage = Malloc.osPageByteCount
    var states = [UInt8](repeating: 0, count: Int(byteCount / osPage))
    let status = mincore(UnsafeMutableRawPointer(bitPattern: address)!, Int(byteCount), &states)
    return status == 0 ? UInt(states.count { $0 & 1 != 0 }) * osPage : 0
}

private let used: UInt = 80_000
private let filled: UInt = 20 * 4096

/// Runs in slices that others filled before: 80 KB in two slices each. With a byte of their own throughout.
private func runsInUsedSlices() -> [UnsafeMutableRawPointer] {
    let before = (0..<40).map { _ in
        let block = Malloc.allocate(2 * Layout.sliceByteCount).unsafelyUnwrapped
        memset(block, 0xee, Int(2 * Layout.sliceByteCount))
        return block
    }
    for block in before { Malloc.deallocate(block) }
    return (0..<40).map { index in
        let block = Malloc.allocate(used).unsafelyUnwrapped
        memset(block, CInt(index), Int(used))
        return block
    }
}

private func isWhole(_ block: UnsafeMutableRawPointer, _ index: Int) -> Bool {
    UnsafeRawBufferPointer(start: block, count: Int(used)).allSatisfy { $0 == UInt8(index) }
}

private func residentBytes(of runs: [UnsafeMutableRawPointer]) -> UInt {
    runs.reduce(0) { $0 + residentBytes(UInt(bitPattern: $1), 2 * Layout.sliceByteCount) }
}

extension HeapTests {
    @Suite(.serialized) struct RunTails {
        @Test func goBackWhileTheirBlocksLive() async {
            await #expect(processExitsWith: .success) {
                Malloc.setPurgeDelay(milliseconds: 10)
                let runs = runsInUsedSlices()
                #expect(Malloc.brokenInvariant() == nil)
                #expect(residentBytes(of: runs) == 40 * 2 * Layout.sliceByteCount)
                // Two ticks after they were taken, by a few calls of the program's.
                let start = SystemMemory.milliseconds()
                while residentBytes(of: runs) > 40 * filled, SystemMemory.milliseconds() < start + 20_000 {
                    usleep(5000)
                    Malloc.deallocate(Malloc.allocate(40_000))
                }
                #expect(residentBytes(of: runs) == 40 * filled)
                #expect(runs.enumerated().allSatisfy { isWhole($1, $0) })
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        /// A block that grew, before its tail went or after, has all of what it holds; one that shrank leaves a tail.
        @Test func growAndShrink() async {
            await #expect(processExitsWith: .success) {
                Malloc.setPurgeDelay(milliseconds: 1 << 30)
                let runs = runsInUsedSlices()
                for (index, run) in runs.enumerated() where index % 2 == 0 {
                    if index % 4 == 0 { Malloc.trim() }
                    let grown = Malloc.reallocate(run, 2 * Layout.sliceByteCount)
                    #expect(grown == run)
                    memset(run + Int(used), 0xdd, Int(2 * Layout.sliceByteCount - used))
                }
                Malloc.trim()
                for (index, run) in runs.enumerated() {
                    #expect(isWhole(run, index))
                    let rest = UnsafeRawBufferPointer(
                        start: run + Int(used), count: Int(2 * Layout.sliceByteCount - used))
                    if index % 2 == 0 { #expect(rest.allSatisfy { $0 == 0xdd }) }
                }
                #expect(residentBytes(of: runs) == 20 * (filled + 2 * Layout.sliceByteCount))
                for (index, run) in runs.enumerated() where index % 2 == 0 {
                    #expect(Malloc.reallocate(run, used) == run)
                }
                Malloc.trim()
                #expect(residentBytes(of: runs) == 40 * filled)
                #expect(runs.enumerated().allSatisfy { isWhole($1, $0) })
                for run in runs { Malloc.deallocate(run) }
                #expect(Malloc.brokenInvariant() == nil)
            }
        }
    }
}
