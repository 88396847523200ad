// Where the children of a ScalableAllocator come from: a value, so that a program chooses when it runs.

public import AllocatorCore

/// Where a ``ScalableAllocator`` takes its memory from.
///
/// Chosen when the allocator is made, not when the program is compiled: what a source costs is paid for a child, not
/// for a block.
public struct ScalableSource {
    let allocator: any Allocator
    /// Whether the allocator that children come from is nobody else's.
    let isOwn: Bool
    /// Whether what is freed is used again.
    let recycles: Bool

    init(_ allocator: any Allocator, isOwn: Bool = false, recycles: Bool = true) {
        self.allocator = allocator
        self.isOwn = isOwn
        self.recycles = recycles
    }

    /// Another allocator, which others may use too. It is asked for the sizes of children, powers of two as a rule, and
    /// for requests that are larger than a child and 16 bytes more.
    public static func upstream(_ allocator: any Allocator) -> ScalableSource { ScalableSource(allocator) }

    /// Pages straight from the system, huge ones behind children of 2 MiB and more: what is released is back with the
    /// system at once. Making a child costs a system call or two.
    public static var pages: ScalableSource { ScalableSource(PageAllocator(hugePages: .advise), isOwn: true) }

    /// Pages as a `PageAllocator` gives them, with its guards and huge pages.
    public static func pages(_ allocator: PageAllocator) -> ScalableSource { ScalableSource(allocator) }

    /// Blocks of a shared memory, which the allocators of other threads use too: children change hands without a system
    /// call. A request that is larger than a child is rounded up to a power of two.
    public static func buddy(_ memory: SharedBuddyMemory) -> ScalableSource { ScalableSource(memory) }

    /// The system's malloc, without recycling: every request goes there, and every block goes back when all of it is
    /// freed. No memory is kept and no block's memory is used again by this allocator, so that what watches over malloc
    /// (the address sanitizer, valgrind) sees each block. For finding bugs, and for comparing: an allocation costs
    /// about ten times as much.
    public static var withoutRecycling: ScalableSource { ScalableSource(SystemAllocator(), recycles: false) }
}

/// Where a ``SharedScalableAllocator`` takes its memory from: what several threads can take from at once.
public struct SharedScalableSource: Sendable {
    enum Kind {
        case allocator(any Allocator & Sendable)
        case pages
        case withoutRecycling
    }

    let kind: Kind

    /// Another allocator, which is thread-safe.
    public static func upstream(_ allocator: any Allocator & Sendable) -> SharedScalableSource {
        SharedScalableSource(kind: .allocator(allocator))
    }

    /// Pages straight from the system, as ``ScalableSource/pages``.
    public static var pages: SharedScalableSource { SharedScalableSource(kind: .pages) }

    /// Blocks of a shared memory, as ``ScalableSource/buddy(_:)``.
    public static func buddy(_ memory: SharedBuddyMemory) -> SharedScalableSource { .upstream(memory) }

    /// The system's malloc, as ``ScalableSource/withoutRecycling``. There is one shard then.
    public static var withoutRecycling: SharedScalableSource { SharedScalableSource(kind: .withoutRecycling) }

    var recycles: Bool { if case .withoutRecycling = kind { false } else { true } }

    /// A source for one shard, which is used under its lock.
    func makeSource(shard: Int, map: ShardMap) -> ScalableSource {
        switch kind {
        case .allocator(let allocator): ScalableSource(ShardUpstream(allocator, shard: shard, map: map))
        case .pages:
            ScalableSource(ShardUpstream(PageAllocator(hugePages: .advise), shard: shard, map: map), isOwn: true)
        case .withoutRecycling: .withoutRecycling
        }
    }
}
