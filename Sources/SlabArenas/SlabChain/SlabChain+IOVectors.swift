// A chain as scatter/gather lists: its segments go to `writev` and come from `readv` without being copied together.

#if canImport(Darwin)
    public import Darwin
#elseif canImport(Glibc)
    public import Glibc
#elseif canImport(Musl)
    public import Musl
#endif

extension SlabChain {
    /// The most vectors that one call of `readv` or `writev` takes: IOV_MAX of Linux and of macOS.
    public static var largestVectorCount: Int { 1024 }

    /// Gives the chain's segments, or a range's, as the lists that `writev`, `readv`, `sendmsg` and their kin take,
    /// until all bytes went through or the body ends it.
    ///
    ///     let written = chain.withIOVectors { writev(socket, $0.baseAddress, Int32($0.count)) }
    ///
    /// The body says how many bytes it took, which may be fewer than it was given: it is then called with what is left,
    /// and more behind it. So a socket that has no room ends it (`writev` gives -1), and what comes later goes on from
    /// there: `chain.withIOVectors(in: written..<chain.count) { … }`.
    ///
    /// - Parameters:
    ///   - range: the bytes; nil: all. Traps where it goes beyond the chain.
    ///   - maximumCount: vectors in a list, from 1 to ``largestVectorCount``. Traps otherwise.
    ///   - body: gets a list, which is never empty and valid until it returns, and returns how many of its bytes are
    ///     done; 0 or less ends it. Traps where it says more than the list has.
    /// - Returns: how many bytes are done in all.
    /// - Throws: what `body` throws.
    /// - Complexity: O(segments), and one block of malloc for the list.
    @discardableResult
    public func withIOVectors<Failure: Error>(
        in range: Range<Int>? = nil, maximumCount: Int = SlabChain.largestVectorCount,
        _ body: (UnsafeBufferPointer<iovec>) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        guard (1...Self.largestVectorCount).contains(maximumCount) else {
            chainMisuse("lists of \(maximumCount) vectors")
        }
        var segments = (range.map { self.segments(in: $0) } ?? self.segments).makeIterator()
        let list = UnsafeMutablePointer<iovec>.allocate(capacity: maximumCount)
        defer { list.deallocate() }
        var (count, listed, total) = (0, 0, 0)
        while true {
            while count < maximumCount, let segment = segments.next() {
                (list + count).initialize(to: iovec(iov_base: segment.baseAddress, iov_len: segment.count))
                count += 1
                listed += segment.count
            }
            if count == 0 { return total }
            let done = try body(UnsafeBufferPointer(start: list, count: count))
            if done <= 0 { return total }
            guard done <= listed else { chainMisuse("\(done) bytes done of a list of \(listed)") }
            total += done
            listed -= done
            drop(done, of: list, &count)
        }
    }

    /// Takes the first bytes off a list.
    private func drop(_ byteCount: Int, of list: UnsafeMutablePointer<iovec>, _ count: inout Int) {
        var (first, rest) = (0, byteCount)
        while first < count, list[first].iov_len <= rest {
            rest -= list[first].iov_len
            first += 1
        }
        if first < count {
            list[first].iov_base += rest
            list[first].iov_len -= rest
        }
        list.update(from: list + first, count: count - first)
        count -= first
    }
}
