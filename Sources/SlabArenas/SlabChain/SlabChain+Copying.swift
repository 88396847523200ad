// Bytes into a chain and out of it.

extension SlabChain {
    /// Copies bytes out of the chain.
    ///
    /// - Parameters:
    ///   - offset: the first byte. Traps where it is negative.
    ///   - target: where to; as much of it is written as there is in the chain from the offset on.
    /// - Returns: how many bytes were copied: fewer than the target has at the end of the chain, 0 beyond it.
    /// - Complexity: O(segments up to the last byte + bytes).
    @discardableResult
    public func read(at offset: Int = 0, into target: UnsafeMutableRawBufferPointer) -> Int {
        if offset < 0 { chainMisuse("read at \(offset)") }
        guard let start = target.baseAddress, target.count > 0 else { return 0 }
        var copied = 0
        for segment in Segments(self, from: offset, to: nil) {
            let count = min(segment.count, target.count - copied)
            (start + copied).copyMemory(from: segment.baseAddress.unsafelyUnwrapped, byteCount: count)
            copied += count
            if copied == target.count { break }
        }
        return copied
    }

    /// Copies bytes into the chain, which keeps its length.
    ///
    /// - Parameters:
    ///   - offset: where the first byte goes.
    ///   - source: the bytes. Traps where they go beyond the chain; what lies before its end was written then.
    /// - Complexity: O(segments up to the last byte + bytes).
    public func write(at offset: Int = 0, from source: UnsafeRawBufferPointer) {
        if offset < 0 { chainMisuse("written at \(offset)") }
        guard let start = source.baseAddress, source.count > 0 else { return }
        var copied = 0
        for segment in segments(in: offset..<offset + source.count) {
            segment.copyMemory(from: UnsafeRawBufferPointer(start: start + copied, count: segment.count))
            copied += segment.count
        }
    }

    /// Copies all bytes to a buffer.
    ///
    /// - Returns: how many there were. Traps where the buffer has room for fewer.
    /// - Complexity: O(segments + bytes).
    @discardableResult
    public func copy(to target: UnsafeMutableRawBufferPointer) -> Int {
        var copied = 0
        for segment in segments {
            guard segment.count <= target.count - copied else {
                chainMisuse("copied to a buffer of \(target.count) bytes, which are too few")
            }
            // A segment has bytes, so the target does.
            (target.baseAddress.unsafelyUnwrapped + copied).copyMemory(
                from: segment.baseAddress.unsafelyUnwrapped, byteCount: segment.count)
            copied += segment.count
        }
        return copied
    }

    /// Has a closure fill the chain: it gets what is still to be filled of a segment, and says how many bytes it
    /// filled, as `read` does; the next time it gets what comes behind them.
    ///
    /// - Parameters:
    ///   - offset: where to begin. Traps where it is negative.
    ///   - body: fills the first bytes of the buffer and returns how many; 0 or less ends the filling. Traps where it
    ///     says more than the buffer has.
    /// - Returns: how many bytes were filled: fewer than from the offset to the end of the chain only where `body`
    ///   ended it.
    /// - Throws: what `body` throws.
    /// - Complexity: O(segments).
    @discardableResult
    public func fill<Failure: Error>(
        from offset: Int = 0, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        if offset < 0 { chainMisuse("filled from \(offset)") }
        var filled = 0
        for segment in Segments(self, from: offset, to: nil) {
            var rest = segment
            while !rest.isEmpty {
                let count = try body(rest)
                if count <= 0 { return filled }
                guard count <= rest.count else { chainMisuse("\(count) bytes filled of a segment of \(rest.count)") }
                filled += count
                rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
            }
        }
        return filled
    }
}
