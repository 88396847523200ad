// The account of an allocator that hands out upstream's blocks: what its statistics are made of.
//
// An allocation writes two numbers and a free other two. The peak is looked at by whatever makes less live, and by who
// asks: between the two it can only rise.

import AllocatorCore

@frozen @usableFromInline
struct BlockAccount {
    // Those that are written together are apart: in one vector register they would take thrice the instructions.
    @usableFromInline var allocatedBlocks = 0
    @usableFromInline var freedBlocks = 0
    @usableFromInline var allocatedBytes = 0
    @usableFromInline var freedBytes = 0
    @usableFromInline var peakBlocks = 0
    @usableFromInline var peakBytes = 0

    @inlinable @inline(__always)
    init() {}

    @inlinable @inline(__always)
    var liveBlocks: Int { allocatedBlocks &- freedBlocks }

    @inlinable @inline(__always)
    var liveBytes: Int { allocatedBytes &- freedBytes }

    @inlinable @inline(__always)
    mutating func enter(byteCount: Int) {
        allocatedBlocks &+= 1
        allocatedBytes &+= byteCount
    }

    @inlinable @inline(__always)
    mutating func remove(byteCount: Int) {
        notePeak()
        freedBlocks &+= 1
        freedBytes &+= byteCount
    }

    @inlinable @inline(__always)
    mutating func resize(from old: Int, to new: Int) {
        if new >= old {
            allocatedBytes &+= new &- old
        } else {
            notePeak()
            freedBytes &+= old &- new
        }
    }

    @inlinable @inline(__always)
    mutating func removeAll() {
        notePeak()
        freedBlocks = allocatedBlocks
        freedBytes = allocatedBytes
    }

    @inlinable @inline(__always)
    mutating func notePeak() {
        if liveBlocks > peakBlocks { peakBlocks = liveBlocks }
        if liveBytes > peakBytes { peakBytes = liveBytes }
    }

    /// With so many bytes of prefixes in front of what is live.
    @usableFromInline
    func statistics(overheadBytes: Int) -> AllocatorStatistics {
        AllocatorStatistics(
            liveBlocks: liveBlocks, liveBytes: liveBytes, peakBlocks: max(peakBlocks, liveBlocks),
            peakBytes: max(peakBytes, liveBytes), totalBlocks: allocatedBlocks, totalBytes: allocatedBytes,
            heldBytes: liveBytes + overheadBytes, overheadBytes: overheadBytes)
    }
}
