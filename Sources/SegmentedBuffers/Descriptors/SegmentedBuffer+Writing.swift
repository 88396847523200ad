// A buffer out to a descriptor, by vectored writes, or to a closure, segment by segment. What was taken is dropped from
// the buffer, so that after an error, too, it has what is still to be written.
//
// Cost: a call of the system per 1,024 segments at most, and O(segments). Thread-safety: none.

public import AllocatorCore
import CMallowShims
import SystemMemory

extension SegmentedBuffer {
    /// Writes to a descriptor until all is out or it takes no more now.
    ///
    /// Interrupted calls are repeated. A pipe or a socket that nobody reads sends SIGPIPE, unless that is ignored.
    ///
    /// - Parameters:
    ///   - descriptor: open for writing. With O_NONBLOCK the call never waits.
    ///   - hand: gets each segment that is out whole, as ``clipFront(_:_:)`` hands it out.
    /// - Returns: how many bytes are out, which the buffer does not have any more.
    /// - Throws: ``DescriptorError``; the buffer has the bytes that were not written.
    /// - Complexity: O(segments), and the system's calls.
    public mutating func write(
        to descriptor: Int32, handingOut hand: (inout Segment) -> Void = { _ in }
    ) throws(DescriptorError) -> WriteProgress {
        try write(to: descriptor, isWaiting: false, hand)
    }

    /// Writes all of it to a descriptor; waits where the descriptor takes no more now, by `poll`.
    ///
    /// For threads that may wait. Throws as ``write(to:handingOut:)`` does.
    ///
    /// - Returns: how many bytes that were.
    @discardableResult
    public mutating func writeAll(
        to descriptor: Int32, handingOut hand: (inout Segment) -> Void = { _ in }
    ) throws(DescriptorError) -> Int {
        try write(to: descriptor, isWaiting: true, hand).written
    }

    /// Writes to a closure, segment by segment, until all is taken or it takes less than it was offered.
    ///
    /// - Parameter sink: says how many of the bytes it took, from the first on. It must not use this buffer.
    /// - Returns: how many bytes were taken, which the buffer does not have any more.
    /// - Throws: what the closure throws; the buffer has what was not taken until then.
    @inlinable
    public mutating func write<Failure: Error>(
        _ sink: (UnsafeRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> WriteProgress {
        var written = 0
        while byteCount > 0 {
            // Held, so that the memory is there whatever the closure does.
            let segment = self.segment(at: 0)
            let taken = try segment.withUnsafeBytes(sink)
            if taken < 0 || taken > segment.byteCount { wrongCount(taken, segment.byteCount) }
            removeFirst(taken)
            written += taken
            if taken < segment.byteCount { return .wouldBlock(written: written) }
        }
        return .complete(written: written)
    }

    // MARK: - Privates

    private mutating func write(
        to descriptor: Int32, isWaiting: Bool, _ hand: (inout Segment) -> Void
    ) throws(DescriptorError) -> WriteProgress {
        let system = SystemDescriptor(descriptor)
        var written = 0
        do throws(FailedCall) {
            while byteCount > 0 {
                guard let count = try writeOnce(to: system) else {
                    if !isWaiting { return .wouldBlock(written: written) }
                    try system.wait(toWrite: true)
                    continue
                }
                clipFront(count, hand)
                written += count
            }
        } catch {
            throw DescriptorError(call: error.name, code: error.code)
        }
        return .complete(written: written)
    }

    /// Offers the first segments. How many bytes were taken; nil where none can be now.
    private func writeOnce(to system: SystemDescriptor) throws(FailedCall) -> Int? {
        let parts = min(segmentCount, SystemDescriptor.mostParts)
        return try withUnsafeTemporaryAllocation(of: iovec.self, capacity: parts) { vector throws(FailedCall) in
            for index in 0..<parts {
                let bytes = bytes(ofSegment: index)
                vector.initializeElement(
                    at: index,
                    to: iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
            }
            return try system.write(UnsafeBufferPointer(vector))
        }
    }
}
