// Giving back: everything, what came after a mark, what is not kept; and giving away.
//
// Buffers go back in the reverse order of their coming: an allocator that takes back only its last block takes all of
// them then, and one that joins ranges joins each to the one before.

public import AllocatorCore
public import ComposableAllocators

extension RecyclableMemory {
    /// A place in a sequence, between two buffers or at an end. See ``mark()``.
    @frozen
    public struct Mark: Sendable {
        @usableFromInline let identity: UInt
        /// How many buffers are before it.
        public let position: Int
        /// The serial of the buffer before it.
        @usableFromInline let serial: UInt

        @inlinable @inline(__always)
        init(identity: UInt, position: Int, serial: UInt) {
            self.identity = identity
            self.position = position
            self.serial = serial
        }
    }

    /// Gives all buffers back but those that are kept, which come to the front in the order that they have. Foreign
    /// ones are forgotten. The sequence is used again as a new one; it keeps the memory of its records. O(count).
    @inlinable
    public mutating func recycle() {
        if isUniform {
            giveBackUniform(from: 0)
            entryCount = 0
            totalBytes = 0
        } else {
            recycleMixed(from: 0)
        }
    }

    /// Remembers the place behind the last buffer. O(1).
    @inlinable
    public func mark() -> Mark {
        Mark(
            identity: identity, position: count,
            serial: count == 0 ? 0 : records.unsafelyUnwrapped[count &- 1].serial)
    }

    /// Gives the buffers back that were added after a mark, but those that are kept. The mark can be used again, and
    /// so can older ones.
    ///
    /// Traps where the mark is another sequence's, and where the buffers before it are not all there as they were: it
    /// is newer than one that was recycled from. O(buffers after the mark).
    @inlinable
    public mutating func recycle(from mark: Mark) {
        let position = mark.position
        if mark.identity != identity || position > count
            || (position > 0 && records.unsafelyUnwrapped[position &- 1].serial != mark.serial)
        {
            wrongMark(mark)
        }
        if isUniform {
            for index in position..<count { totalBytes &-= records.unsafelyUnwrapped[index].count }
            giveBackUniform(from: position)
            entryCount = position
        } else {
            recycleMixed(from: position)
        }
    }

    @usableFromInline @inline(never)
    func wrongMark(_ mark: Mark) -> Never {
        if mark.identity != identity { fatalError("RecyclableMemory: the mark is another sequence's") }
        fatalError("RecyclableMemory: buffers before the mark, \(mark.position) then, were recycled since")
    }

    /// Gives back what is from a place on, where all is uniform (I4). The entries are the caller's affair.
    @inlinable @inline(__always)
    func giveBackUniform(from position: Int) {
        guard let records else { return }
        if let scalable { return giveBackRows(from: position, to: scalable) }
        var index = count
        while index > position {
            index &-= 1
            current.deallocate(records[index].start)
        }
    }

    /// The same, in rows: buffers that were allocated one after the other mostly lie so.
    @usableFromInline @inline(never)
    func giveBackRows(from position: Int, to allocator: Unmanaged<ScalableAllocator>) {
        let records = records.unsafelyUnwrapped
        var end = count
        while end > position {
            var first = end &- 1
            let row = records[first].start + Self.blockByteCount(records[first].count)
            while first > position,
                records[first &- 1].start + Self.blockByteCount(records[first &- 1].count) == records[first].start
            {
                first &-= 1
            }
            let (start, blocks) = (records[first].start, end &- first)
            allocator._withUnsafeGuaranteedRef { allocator in
                if blocks > 1, allocator.deallocate(row: start, byteCount: row - start, blocks: blocks) { return }
                // A buffer that was shortened, or a part, or one by one.
                for index in (first..<end).reversed() { allocator.deallocate(records[index].start) }
            }
            end = first
        }
    }

    /// The bytes that a ScalableAllocator gives for so many.
    @inline(__always)
    private static func blockByteCount(_ count: Int) -> Int { count == 0 ? 16 : (count &+ 15) & ~15 }

    /// Gives back what is from a place on and not kept.
    @usableFromInline @inline(never)
    mutating func recycleMixed(from position: Int) {
        guard let records else { return }
        var gone = 0
        for index in stride(from: count - 1, through: position, by: -1) where !records[index].isKept {
            totalBytes -= records[index].count
            settle(records[index])
            gone += 1
        }
        if gone < count - position {
            var end = position
            for index in position..<count where records[index].isKept {
                records[end] = records[index]
                end += 1
            }
        }
        entryCount -= gone
        if count == 0 { becomeUniform() }
    }

    /// Gives up the sequence's claim on an entry (I1).
    private func settle(_ entry: RecyclableEntry) {
        if let number = entry.allocatorNumber {
            allocator(number: number).deallocate(entry.start)
        } else {
            entry.memory?.release()
        }
    }

    /// Gives up the sequence's claim on every entry.
    func settleAll() {
        guard let records else { return }
        for index in stride(from: count - 1, through: 0, by: -1) { settle(records[index]) }
    }

    /// I4, of a sequence that is empty.
    mutating func becomeUniform() {
        formers.removeAll()
        currentOwner = RecyclableEntry.owner(allocator: 0)
        isUniform = true
    }
}

// MARK: - Kept ones, and those given away

extension RecyclableMemory {
    /// Says whether a buffer stays when others are recycled: a header that every packet needs. It goes when that is
    /// taken back, by ``recycleAll()``, and at the end. Traps outside of `0..<count`. O(1).
    public mutating func setKept(_ isKept: Bool, at index: Int) {
        entry(at: index).pointee.isKept = isKept
        if isKept { isUniform = false }
    }

    /// Whether a buffer stays when others are recycled. O(1).
    public func isKept(at index: Int) -> Bool { entry(at: index).pointee.isKept }

    /// Gives all buffers back, those that are kept too. O(count).
    public mutating func recycleAll() {
        settleAll()
        entryCount = 0
        totalBytes = 0
        becomeUniform()
    }

    /// Gives a block away: the caller owns it from here on, and frees it by the allocator that it came from. It stays
    /// in the sequence as a foreign buffer that is only referred to. Traps where it is not the sequence's
    /// ``Ownership/own``. O(1).
    public mutating func relinquish(at index: Int) -> UnsafeMutableRawBufferPointer {
        let entry = entry(at: index)
        // Read before the branch: see `mutableSpan(at:)`.
        let buffer = entry.pointee.buffer
        if entry.pointee.allocatorNumber == nil {
            misuse(
                "RecyclableMemory", buffer.baseAddress.unsafelyUnwrapped,
                "was to be given away and is not the sequence's own")
        }
        entry.pointee.owner = 0
        isUniform = false
        return buffer
    }
}
