// Bytes from a descriptor to the end of a buffer, by vectored reads: into the room behind the last segment, where it
// may be filled (S2), and into new segments.
//
// Cost: a call of the system, and an allocation for each new segment; what is not filled is given back at once.
// Thread-safety: none.

public import AllocatorCore
import CMallowShims
import SystemMemory

extension SegmentedBuffer {
    /// Reads once from a descriptor, as many bytes as are there and as are asked for at most, to the end.
    ///
    /// An interrupted call is repeated.
    ///
    /// - Parameters:
    ///   - descriptor: open for reading. With O_NONBLOCK the call never waits; else until there is a byte.
    ///   - atMost: the most bytes to read, 1 or more; those that would need more than 1,024 places are left for the
    ///     next call. Traps where it is not positive.
    ///   - segmentSize: the room of a new segment, in bytes. Traps where it is not positive.
    ///   - allocator: where new segments come from.
    /// - Throws: ``FillError``; the buffer is as it was.
    public mutating func fill(
        from descriptor: Int32, atMost: Int, segmentSize: Int = 1 << 14,
        allocator: any Allocator = SystemAllocator()
    ) throws(FillError) -> FillProgress {
        if atMost <= 0 || segmentSize <= 0 {
            fatalError("SegmentedBuffer: filled with \(atMost) bytes in segments of \(segmentSize)")
        }
        let ownRoom = min(room(), atMost)
        let beyond = atMost - ownRoom
        // Rounded up, for any number of bytes.
        let newCount = min(beyond / segmentSize + (beyond % segmentSize > 0 ? 1 : 0), SystemDescriptor.mostParts - 1)
        var new: [Segment] = []
        new.reserveCapacity(newCount)
        do throws(AllocationError) {
            for index in 0..<newCount {
                let missing = beyond - index * segmentSize
                new.append(try Segment(capacity: min(missing, segmentSize), allocator: allocator))
            }
        } catch {
            throw .allocation(error)
        }
        let count: Int?
        do throws(FailedCall) {
            count = try readOnce(SystemDescriptor(descriptor), ownRoom, new, atMost)
        } catch {
            throw .descriptor(DescriptorError(call: error.name, code: error.code))
        }
        guard let count else { return .wouldBlock }
        if count == 0 { return .end }
        accept(count, ownRoom, new)
        return .read(count)
    }

    /// Reads from a descriptor until so many bytes are there, or there are no more; waits for them, by `poll`.
    ///
    /// For threads that may wait.
    ///
    /// - Parameters: as for ``fill(from:atMost:segmentSize:allocator:)``.
    /// - Returns: how many bytes were read: fewer than asked for at the end alone.
    /// - Throws: ``FillError``; the buffer has what was read until then.
    @discardableResult
    public mutating func fillAll(
        from descriptor: Int32, count: Int, segmentSize: Int = 1 << 14,
        allocator: any Allocator = SystemAllocator()
    ) throws(FillError) -> Int {
        if count < 0 { fatalError("SegmentedBuffer: filled with \(count) bytes") }
        var done = 0
        while done < count {
            switch try fill(
                from: descriptor, atMost: count - done, segmentSize: segmentSize, allocator: allocator)
            {
            case .read(let part): done += part
            case .end: return done
            case .wouldBlock:
                do throws(FailedCall) {
                    try SystemDescriptor(descriptor).wait(toWrite: false)
                } catch {
                    throw .descriptor(DescriptorError(call: error.name, code: error.code))
                }
            }
        }
        return done
    }

    // MARK: - Privates

    /// Reads into the room behind the last segment and into new ones. How many bytes; nil where there are none yet.
    private func readOnce(
        _ system: SystemDescriptor, _ ownRoom: Int, _ new: [Segment], _ atMost: Int
    ) throws(FailedCall) -> Int? {
        try withUnsafeTemporaryAllocation(of: iovec.self, capacity: new.count + 1) { vector throws(FailedCall) in
            var parts = 0
            var missing = atMost
            func add(_ segment: Segment, _ room: Int) {
                let count = min(room, missing)
                vector.initializeElement(
                    at: parts, to: iovec(iov_base: segment.start + segment.byteCount, iov_len: count))
                parts += 1
                missing -= count
            }
            if ownRoom > 0, let last { add(last, ownRoom) }
            for segment in new { add(segment, segment.roomBehind) }
            return try system.read(into: UnsafeBufferPointer(rebasing: vector[..<parts]))
        }
    }

    /// Makes bytes that were read the buffer's, in the same places.
    private mutating func accept(_ count: Int, _ ownRoom: Int, _ new: [Segment]) {
        var rest = count
        if ownRoom > 0 {
            let part = min(rest, ownRoom)
            lastCount += part
            byteCount += part
            rest -= part
        }
        for var segment in new where rest > 0 {
            segment.byteCount = min(rest, segment.roomBehind)
            rest -= segment.byteCount
            push(segment)
        }
    }
}
