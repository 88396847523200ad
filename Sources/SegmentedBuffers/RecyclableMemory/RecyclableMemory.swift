// Buffers that belong together and go back together: what is read for one packet, one message, one request.
//
//     records   entry | entry | entry | … spare             entry: RecyclableEntry.swift
//     formers   allocators that were set before this one and still have blocks here
//
// I1. Of each entry's owner, one claim is this sequence's: it is given up once, by recycling, by the end, or by moving
//     it elsewhere.
// I2. `totalBytes` is the sum of the entries' counts.
// I3. `current` is the allocator of the number `formers.count`, which `currentOwner` says as an entry does.
// I4. Where `isUniform`, every entry is a block of `current` and none is kept: recycling asks nothing of an entry but
//     its address. It is true of an empty sequence, whose `formers` are empty too.
// I5. Serials rise along the records, so that the entry before a mark tells whether all before it is as it was.
//
// Cost: an allocation is the allocator's and four stores; recycling is a call of the allocator for each buffer, the
// last one first, or one for those that lie in a row where it is a ScalableAllocator. A sequence takes no memory before
// its first buffer, and keeps its records when it is recycled. Not generic, so that its deinit runs in every build.
// Thread-safety: none, and it is not `Sendable`.

public import AllocatorCore
public import ComposableAllocators
import Synchronization

/// A sequence of buffers of one allocator, which are given back all at once: by ``recycle()``, after which it is used
/// again, and at its end.
///
///     var memory = RecyclableMemory(allocator: blocks)
///     while let packet = try source.next() {
///         let header = try memory.allocate(byteCount: 4)
///         …
///         memory.recycle()
///     }
///
/// Use it for what lives as long as one packet, message or request and is made of parts whose number and sizes are not
/// known before; over a scalable allocator, or over `SystemAllocator`, where nothing is reused but what malloc reuses.
/// A `Region` is the better choice where the parts are values and not buffers, and frees faster; it never gives one of
/// them away. When the bytes are to go on elsewhere, ``takeSegments()`` makes them a ``SegmentedBuffer`` without
/// copying.
///
/// What else can be in the sequence: blocks that the program has from the same allocator (``adopt(_:)``), which are
/// given back as its own are; and memory of others, which is not: kept alive for as long as it is here
/// (``push(_:)``, ``push(_:ownedBy:)``), or only referred to (``push(unowned:)``).
///
/// Which buffers are given back can be told in two ways: ``mark()`` remembers a place, and ``recycle(from:)`` gives
/// back what was added after it; ``setKept(_:at:)`` lets a buffer stay when the others go.
///
/// The addresses that it hands out are raw pointers, as an allocator's are: they dangle when the buffer is recycled. Of
/// spans (``span(at:)``), the compiler sees to that. Not thread-safe, and not `Sendable`; an allocator, and so a
/// sequence, belongs to one thread at a time unless it says otherwise.
///
/// The idea is that of a Go library for media streams.
@frozen
public struct RecyclableMemory: ~Copyable {
    @usableFromInline var records: UnsafeMutablePointer<RecyclableEntry>?
    @usableFromInline var entryCount: Int
    @usableFromInline var capacity: Int
    @usableFromInline var totalBytes: Int
    @usableFromInline var nextSerial: UInt
    @usableFromInline var currentOwner: UInt
    @usableFromInline var isUniform: Bool
    @usableFromInline var current: any Allocator
    @usableFromInline var formers: ContiguousArray<any Allocator>
    /// `current`, where it is one: it takes back blocks that lie in a row at once. Kept alive by `current`.
    @usableFromInline var scalable: Unmanaged<ScalableAllocator>?
    /// Tells the marks of this sequence from those of others.
    @usableFromInline let identity: UInt

    /// Makes an empty sequence, which takes nothing before the first buffer.
    ///
    /// - Parameter allocator: where buffers come from.
    public init(allocator: any Allocator = SystemAllocator()) {
        current = allocator
        formers = []
        records = nil
        entryCount = 0
        capacity = 0
        totalBytes = 0
        nextSerial = 1
        currentOwner = RecyclableEntry.owner(allocator: 0)
        isUniform = true
        scalable = Self.scalable(allocator)
        identity = Self.identities.wrappingAdd(1, ordering: .relaxed).newValue
    }

    private static let identities = Atomic<UInt>(0)

    /// Gives all buffers back, those that are kept too.
    deinit {
        if isUniform { giveBackUniform(from: 0) } else { settleAll() }
        if let records { SystemAllocator().deallocate(UnsafeMutableRawPointer(records)) }
    }

    /// Where buffers come from. Setting it changes nothing for those that are here: each goes back to the allocator
    /// that it came from, which is kept alive until then. Setting is O(count).
    public var allocator: any Allocator {
        get { current }
        set {
            if hasBlocksOfCurrent {
                formers.append(current)
                currentOwner = RecyclableEntry.owner(allocator: formers.count)
                isUniform = false
            }
            current = newValue
            scalable = Self.scalable(newValue)
        }
    }

    /// The type first: a cast that fails costs more than it is worth.
    private static func scalable(_ allocator: any Allocator) -> Unmanaged<ScalableAllocator>? {
        guard type(of: allocator) == ScalableAllocator.self else { return nil }
        return (allocator as? ScalableAllocator).map { Unmanaged.passUnretained($0) }
    }

    private var hasBlocksOfCurrent: Bool {
        if isUniform { return count > 0 }
        return (0..<count).contains { records.unsafelyUnwrapped[$0].owner == currentOwner }
    }

    /// The number of buffers. O(1).
    @inlinable @inline(__always)
    public var count: Int { entryCount }

    /// The bytes of all buffers together. O(1).
    @inlinable @inline(__always)
    public var byteCount: Int { totalBytes }

    /// Whether there is no buffer. O(1).
    @inlinable
    public var isEmpty: Bool { count == 0 }

    /// The places of the buffers: `0..<count`. O(1).
    @inlinable
    public var indices: Range<Int> { Range(uncheckedBounds: (0, count)) }
}

// MARK: - Records

extension RecyclableMemory {
    /// Makes room for this many buffers, so that adding them takes no memory but theirs. Traps where the number is
    /// negative, or there is no memory. O(count).
    public mutating func reserveCapacity(_ capacity: Int) {
        if capacity < 0 { fatalError("RecyclableMemory: room for a negative number of buffers (\(capacity))") }
        if capacity > self.capacity, !grow(to: capacity) { noMemory() }
    }

    /// Makes room for one more entry; false where there is no memory for it.
    @usableFromInline @inline(never)
    mutating func grow() -> Bool { grow(to: max(16, 2 * capacity)) }

    private mutating func grow(to capacity: Int) -> Bool {
        let (bytes, overflow) = capacity.multipliedReportingOverflow(by: MemoryLayout<RecyclableEntry>.stride)
        guard !overflow, let memory = SystemAllocator().tryAllocate(byteCount: bytes, alignment: 8)?.baseAddress else {
            return false
        }
        let grown = memory.bindMemory(to: RecyclableEntry.self, capacity: capacity)
        if let records {
            grown.moveInitialize(from: records, count: count)
            SystemAllocator().deallocate(UnsafeMutableRawPointer(records))
        }
        records = grown
        self.capacity = capacity
        return true
    }

    @usableFromInline @inline(never)
    func noMemory() -> Never { fatalError("RecyclableMemory: no memory for the records of its buffers") }

    /// Adds an entry, for which there is room.
    @inlinable @inline(__always)
    mutating func enter(_ start: UnsafeMutableRawPointer, _ byteCount: Int, owner: UInt) {
        (records.unsafelyUnwrapped + count).initialize(
            to: RecyclableEntry(start: start, count: byteCount, owner: owner, serial: nextSerial))
        nextSerial &+= 1
        entryCount &+= 1
        totalBytes &+= byteCount
    }

    /// Adds an entry whose owner is not `current`, or traps for want of memory.
    mutating func enterOther(_ start: UnsafeMutableRawPointer, _ byteCount: Int, owner: UInt) {
        if count == capacity, !grow() { noMemory() }
        isUniform = false
        enter(start, byteCount, owner: owner)
    }

    /// The n-th of all allocators that have blocks here.
    func allocator(number: Int) -> any Allocator { number < formers.count ? formers[number] : current }

    /// What is wrong with the sequence, or nil.
    package func brokenInvariant() -> String? {
        var bytes = 0
        var lastSerial: UInt = 0
        for index in indices {
            let entry = records![index]
            bytes += entry.count
            if entry.count < 0 { return "a negative count" }
            if entry.serial <= lastSerial || entry.serial >= nextSerial { return "I5: a serial out of order" }
            lastSerial = entry.serial
            if let number = entry.allocatorNumber, number > formers.count { return "I3: an allocator that is not here" }
            if isUniform, entry.owner != currentOwner || entry.isKept { return "I4: an entry that is not uniform" }
        }
        if bytes != byteCount { return "I2: \(byteCount) bytes, and \(bytes) in the entries" }
        if currentOwner != RecyclableEntry.owner(allocator: formers.count) { return "I3: the allocator's number" }
        if isEmpty, !isUniform || !formers.isEmpty { return "I4: an empty sequence that is not uniform" }
        return count <= capacity ? nil : "more entries than room"
    }
}
