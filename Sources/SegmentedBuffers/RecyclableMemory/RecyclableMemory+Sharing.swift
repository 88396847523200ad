// A second sequence over the same bytes, a second sequence with a copy of them, and segments without copying.
//
// Memory that several own is counted: each block becomes a SegmentMemory, which gives it back when the last owner is
// gone. That costs an object a block, once.

public import AllocatorCore

extension RecyclableMemory {
    /// Another sequence over the same bytes, which are not copied: a block goes back when neither this sequence nor
    /// the other, nor any segments made of them, has it. See ``copy()`` for bytes of its own.
    ///
    /// Marks and what is kept are not taken along. Foreign bytes that are only referred to must stay for both.
    /// Traps where there is no memory for its records. O(count), and an object for each block that is not counted yet.
    public mutating func share() -> RecyclableMemory {
        var other = RecyclableMemory(allocator: current)
        other.reserveCapacity(count)
        for index in indices {
            let entry = counted(at: index)
            _ = entry.memory?.retain()
            other.enterOther(entry.start, entry.count, owner: entry.owner)
        }
        return other
    }

    /// Another sequence with a copy of the bytes, foreign ones included, buffer by buffer, in memory of ``allocator``.
    /// See ``share()`` for one without copying.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(byteCount + count).
    public borrowing func copy() throws(AllocationError) -> RecyclableMemory {
        var other = RecyclableMemory(allocator: current)
        for index in indices {
            let bytes = UnsafeRawBufferPointer(self[index])
            try other.allocate(byteCount: bytes.count).copyMemory(from: bytes)
        }
        return other
    }

    /// The bytes as a buffer of segments, without copying, which this sequence shares: both own them. Foreign bytes
    /// that are only referred to must stay for both. O(count), and an object for each block that is not counted yet.
    public mutating func shareSegments() -> SegmentedBuffer {
        var buffer = SegmentedBuffer()
        for index in indices where self[index].count > 0 { buffer.push(segment(counted(at: index))) }
        return buffer
    }

    /// The bytes as a buffer of segments, without copying: they are the buffer's from here on, and the sequence is
    /// empty, to be used again. Each block goes back to its allocator when the last of its segments is gone; empty ones
    /// go back now. O(count), and an object for each block that is not counted yet.
    public mutating func takeSegments() -> SegmentedBuffer {
        let buffer = shareSegments()
        recycleAll()
        return buffer
    }

    /// The entry at a place, of which an allocator is no longer the owner: counted memory is.
    private mutating func counted(at index: Int) -> RecyclableEntry {
        let entry = entry(at: index)
        if let number = entry.pointee.allocatorNumber {
            let buffer = entry.pointee.buffer
            let segment = Segment(taking: buffer, count: buffer.count, allocator: allocator(number: number))
            entry.pointee.owner = RecyclableEntry.owner(counting: segment.memory)
            isUniform = false
        }
        return entry.pointee
    }

    private func segment(_ entry: RecyclableEntry) -> Segment {
        guard let memory = entry.memory else { return Segment(unowned: UnsafeRawBufferPointer(entry.buffer)) }
        return Segment(memory: memory.takeUnretainedValue(), start: entry.start, count: entry.count)
    }
}
