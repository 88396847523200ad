// What a TrackingAllocator tells: live blocks, leaks by the place they came from, a report; and its invariants.

public import AllocatorCore

/// A live block of a ``TrackingAllocator``.
public struct TrackedBlock {
    /// The block: its `count` is its usable bytes.
    public let memory: UnsafeMutableRawBufferPointer
    /// The bytes that were asked for.
    public let requestedByteCount: Int
    /// The alignment that was asked for, in bytes.
    public let alignment: Int
    /// Which block it was, counted from 1 since the allocator was made.
    public let number: Int
    /// Where it was allocated: `Module/File.swift:12`, or a function's name.
    public let location: String
    /// The calls that led there, innermost first; empty unless stacks were asked for.
    public let stack: [String]
}

/// What was done with a ``TrackingAllocator``. Blocks are numbered from 1, so that two runs can be compared.
public enum TrackedOperation: Hashable, Sendable {
    /// A block was allocated; the size and the alignment are those that were asked for, in bytes.
    case allocate(block: Int, byteCount: Int, alignment: Int)
    /// Upstream did not serve the request, of so many bytes.
    case refuse(byteCount: Int, alignment: Int)
    /// A block was freed.
    case deallocate(block: Int)
    /// A block was resized in place; the size is the one that was asked for, in bytes.
    case resize(block: Int, byteCount: Int)
    /// All live blocks were freed at once.
    case freeAll
}

extension TrackingAllocator: MeasuredAllocator {
    /// The account of the blocks that came from upstream. What upstream needs for them, and the records of this
    /// allocator, are not in it. O(1).
    public var statistics: AllocatorStatistics { account }

    /// Every live block, in the order of allocation. O(n log n), and the time of finding names for those that were not
    /// allocated by a direct call.
    public var liveBlocks: [TrackedBlock] {
        blocks.sorted { $0.value.number < $1.value.number }.map { address, entry in
            TrackedBlock(
                memory: UnsafeMutableRawBufferPointer(
                    start: UnsafeMutableRawPointer(bitPattern: address), count: entry.byteCount),
                requestedByteCount: entry.requested, alignment: entry.alignment, number: entry.number,
                location: entry.origin.location,
                stack: entry.origin.stack(depth: stackDepth))
        }
    }

    /// The live blocks by the place that they were allocated at, the most bytes first.
    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }

    public func findLeaks() -> LeakError? {
        guard account.liveBlocks > 0 else { return nil }
        // By the location and its stack.
        var sites: [[String]: LeakError.Site] = [:]
        for block in liveBlocks {
            let none = LeakError.Site(location: block.location, blocks: 0, bytes: 0, stack: block.stack)
            sites[[block.location] + block.stack, default: none].add(block.memory.count)
        }
        return LeakError(
            allocator: "TrackingAllocator", blocks: account.liveBlocks, bytes: account.liveBytes,
            sites: sites.values.sorted { ($1.bytes, $0.location) < ($0.bytes, $1.location) })
    }

    /// The account, and what is live now by the place it came from, as text.
    public func report() -> String {
        let account = "TrackingAllocator: \(statistics)"
        return findLeaks().map { account + "\n\($0)" } ?? account
    }

    /// What is wrong with the records, or nil. Linear in the live blocks.
    package func brokenInvariant() -> String? {
        if blocks.count != account.liveBlocks || blocks.values.reduce(0, { $0 + $1.byteCount }) != account.liveBytes
            || account.heldBytes != account.liveBytes || account.overheadBytes != 0
        {
            return "I1: the account is \(account), and \(blocks.count) blocks are live"
        }
        if freed.count > Self.rememberedFrees || freed.keys.contains(where: { blocks[$0] != nil }) {
            return "I2: a live block is remembered as freed"
        }
        return nil
    }
}

extension LeakError.Site {
    fileprivate mutating func add(_ byteCount: Int) {
        blocks += 1
        bytes += byteCount
    }
}
