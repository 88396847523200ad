// What a RangedMemory refers to: a buffer, and which ranges of it are free.
//
//     floor ········ lead ··········· start ───────────── buffer ───────────── end
//     0                               lead                                     ranges.size      in granules
//
// M1. Offsets are counted in granules from `floor`, the multiple of 1 GiB that is not above the buffer: so an offset is
//     as far aligned as its address is, up to 1 GiB. What lies before the buffer is allocated, always.
// M2. The buffer begins and ends at multiples of the granule.
//
// The ranges are kept by first fit: its record is ordered, so that it finds every part that is free already, and what
// is allocated keeps to the buffer's front, so that the end of a mapping stays untouched.
// Thread-safety: none.

import AllocatorCore
import RangeAllocators

final class RangedSpace {
    typealias Ranges = RangeAllocator<FirstFit>

    private(set) var start: UnsafeMutableRawPointer
    /// The bytes of the buffer.
    private(set) var byteCount: Int
    let ranges: Ranges
    /// The granule is 1 << shift bytes.
    let shift: Int
    let lead: Int

    /// The pool that the buffer is of, its class there, and the next one that is kept.
    @exclusivity(unchecked) var pool: Unmanaged<RangedMemoryPool>?
    @exclusivity(unchecked) var sizeClass = 0
    @exclusivity(unchecked) var next: Unmanaged<RangedSpace>?

    static let largestAlignment = 1 << 30

    /// Makes a space of all whole granules of a buffer.
    init(_ buffer: UnsafeMutableRawBufferPointer, granule: Int) {
        let (start, byteCount) = Self.wholeGranules(buffer, granule)
        self.start = start
        self.byteCount = byteCount
        shift = granule.trailingZeroBitCount
        lead = Int(UInt(bitPattern: start) & UInt(Self.largestAlignment - 1)) >> shift
        ranges = Ranges(size: lead + byteCount >> shift)
        takeLead()
    }

    /// M2
    private static func wholeGranules(
        _ buffer: UnsafeMutableRawBufferPointer, _ granule: Int
    ) -> (UnsafeMutableRawPointer, Int) {
        // An empty buffer may have no address.
        guard let start = buffer.baseAddress else { return (UnsafeMutableRawPointer(bitPattern: granule)!, 0) }
        let skipped = Int(bitPattern: (0 &- UInt(bitPattern: start)) & UInt(granule - 1))
        return (start + skipped, max(0, buffer.count - skipped) & ~(granule - 1))
    }

    private func takeLead() {
        if lead > 0, !ranges.allocate(0..<lead) { fatalError("RangedMemory: what lies before the buffer is taken") }
    }

    // MARK: - Addresses and offsets

    var isEmpty: Bool { ranges.usedCount == lead }

    func piece(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        // A request for nothing is given the empty range at 0.
        let lower = max(range.lowerBound, lead)
        return UnsafeMutableRawBufferPointer(
            start: start + (lower - lead) << shift, count: max(0, range.upperBound - lower) << shift)
    }

    /// The granules of a piece, or nil where it is not in the buffer, or not of whole granules.
    func range(_ piece: UnsafeRawBufferPointer) -> Range<Int>? {
        guard let base = piece.baseAddress else { return nil }
        let offset = UInt(bitPattern: base) &- UInt(bitPattern: start)
        guard offset <= UInt(byteCount), piece.count <= byteCount - Int(offset),
            (Int(offset) | piece.count) & (1 << shift - 1) == 0
        else { return nil }
        let lower = lead + Int(offset) >> shift
        return lower..<lower + piece.count >> shift
    }

    /// How many granules a request needs, and its alignment in them; nil where it can never be served. Traps where it
    /// makes no sense.
    func request(_ byteCount: Int, _ alignment: Int) -> (count: Int, alignment: Int)? {
        if !isValid("RangedMemory", byteCount: byteCount, alignment: alignment) {
            fatalError("RangedMemory: a request with the alignment \(alignment), which is no power of two")
        }
        guard byteCount <= self.byteCount, alignment <= Self.largestAlignment else { return nil }
        return ((byteCount + (1 << shift - 1)) >> shift, max(1, alignment >> shift))
    }

    // MARK: - Snapshots and the account, in granules of the buffer

    var statistics: RangeStatistics {
        var statistics = ranges.statistics
        statistics.size -= lead
        // What lies before the buffer is a used range, or a part of one that begins with the buffer.
        if lead > 0, statistics.size == 0 || ranges.freeRanges.first?.lowerBound == lead { statistics.usedRanges -= 1 }
        return statistics
    }

    var snapshot: RangeSnapshot {
        RangeSnapshot(
            size: byteCount >> shift,
            freeRanges: ranges.freeRanges.map { $0.lowerBound - lead..<$0.upperBound - lead })
    }

    func restore(_ snapshot: RangeSnapshot) throws(RangeSnapshotError) {
        try snapshot.validate()
        let count = byteCount >> shift
        guard snapshot.size <= count else { throw .outOfBounds(0..<snapshot.size, size: count) }
        // M1: what lies before the buffer stays allocated.
        var free = snapshot.freeRanges.map { $0.lowerBound + lead..<$0.upperBound + lead }
        if snapshot.size < count {
            var added = lead + snapshot.size..<lead + count
            if free.last?.upperBound == added.lowerBound { added = free.removeLast().lowerBound..<added.upperBound }
            free.append(added)
        }
        try ranges.restore(RangeSnapshot(size: ranges.size, freeRanges: free))
    }

    // MARK: - Changes

    func freeAll() {
        ranges.reset()
        takeLead()
    }

    func grow(to buffer: UnsafeMutableRawBufferPointer) {
        let (start, byteCount) = Self.wholeGranules(buffer, 1 << shift)
        if pool != nil { misuse("RangedMemory", self.start, "is of a pool, and grown") }
        // A buffer that was empty may have had no address.
        guard start == self.start, byteCount >= self.byteCount else {
            misuse("RangedMemory", start, "is not the memory, grown in place")
        }
        ranges.grow(to: lead + byteCount >> shift)
        self.byteCount = byteCount
    }
}
