// Whether two parts of a combinator share memory: found out once, when it is made, from the objects that each part
// names (`_sources` and `_owners` in Allocator). A value type that wraps an object and does not name it is not seen
// through.
//
// Cost: a few small arrays when a combinator is made. Thread-safety: a constant.

import AllocatorCore

@frozen @usableFromInline
struct PartRelation: OptionSet, Sendable {
    @usableFromInline let rawValue: UInt8

    @inlinable @inline(__always)
    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Blocks of the second part may lie in memory that the first takes for its own.
    @inlinable @inline(__always)
    static var firstFeedsSecond: PartRelation { PartRelation(rawValue: 1) }

    @inlinable @inline(__always)
    static var secondFeedsFirst: PartRelation { PartRelation(rawValue: 2) }

    /// Some object appears twice among the sources, or it is not known that none does: then what looks like a leak may
    /// be what another part holds.
    @inlinable @inline(__always)
    static var closedInPasses: PartRelation { PartRelation(rawValue: 4) }

    /// Whether each part's answer about its own blocks is right.
    @inlinable @inline(__always)
    var isApart: Bool { rawValue & 3 == 0 }

    // Neither inlined nor specialised: it runs once, and an object that is passed here has left its function.
    @usableFromInline @inline(never)
    init<First: Allocator, Second: Allocator>(_ first: First, _ second: Second) {
        let firstSources = first._sources
        let secondSources = second._sources
        let all = firstSources + secondSources
        var relation: PartRelation = Set(all).count < all.count ? .closedInPasses : []
        // The same allocator twice answers for itself.
        let isSame = First.self == Second.self && firstSources == secondSources
        if relation == .closedInPasses, !isSame {
            if first._owners.contains(where: secondSources.contains) { relation.insert(.firstFeedsSecond) }
            if second._owners.contains(where: firstSources.contains) { relation.insert(.secondFeedsFirst) }
        }
        self = relation
    }
}
