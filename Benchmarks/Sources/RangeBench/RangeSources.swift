// What the loops run over: range allocators of each strategy, buddies, and a pool of them.

import Mallow

/// Something that allocates and frees ranges.
protocol RangeSource: AnyObject {
    init(space: Int)
    func take(_ count: Int) -> Range<Int>?
    func give(_ range: Range<Int>)
}

/// One that can be asked, too.
protocol RangeIndex: RangeSource {
    func find(_ count: Int, alignment: Int) -> Range<Int>?
    var freeCount: Int { get }
    var largestFree: Int { get }
    var freeRangeCount: Int { get }
    var metadataByteCount: Int { get }
}

extension RangeAllocator: RangeSource, RangeIndex where Strategy: ~Copyable {
    @inline(__always)
    func take(_ count: Int) -> Range<Int>? { allocate(count) }

    @inline(__always)
    func give(_ range: Range<Int>) { deallocate(range) }

    convenience init(space: Int) { self.init(size: space) }
}

private let smallestBlock = 1024

final class Buddies: RangeSource {
    private let buddies: BuddyAllocator

    init(space: Int) {
        do { buddies = try BuddyAllocator(size: space, smallestBlock: smallestBlock) } catch { fatalError("\(error)") }
    }

    @inline(__always)
    func take(_ count: Int) -> Range<Int>? { buddies.tryAllocate(count) }

    @inline(__always)
    func give(_ range: Range<Int>) {
        do { try buddies.deallocate(range.lowerBound) } catch { fatalError("\(error)") }
    }
}

/// Offsets of all buddies, one space after the other.
final class PooledBuddies: RangeSource {
    private let pool: BuddyPool
    private let space: Int

    init(space: Int) {
        do { pool = try BuddyPool(buddySize: space, smallestBlock: smallestBlock) } catch { fatalError("\(error)") }
        self.space = space
    }

    @inline(__always)
    func take(_ count: Int) -> Range<Int>? {
        guard let block = pool.tryAllocate(count) else { return nil }
        let start = block.buddy &* space
        return Range(uncheckedBounds: (start &+ block.range.lowerBound, start &+ block.range.upperBound))
    }

    @inline(__always)
    func give(_ range: Range<Int>) {
        let (buddy, offset) = range.lowerBound.quotientAndRemainder(dividingBy: space)
        do { try pool.deallocate(offset, inBuddy: buddy) } catch { fatalError("\(error)") }
    }
}
