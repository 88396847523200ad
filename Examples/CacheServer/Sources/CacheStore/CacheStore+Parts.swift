// The memory of items: one chunk, or a chain whose first chunk is as short as it can be and whose others are equal.
// What one chunk has of an item is a part of it.
//
//     head: header, key, first bytes of the value -> partSize bytes -> partSize bytes -> …
//
// So that what is short, and lies among the small items, is what a location holds: it can be moved, and its slab
// emptied. A chunk that another links to stays where it is, but all such chunks are of one class, which serves every
// large item.

import Mallow

extension CacheStore {
    /// Memory for an item, with one reference; nil where there is none and none can be made.
    ///
    /// - Parameters:
    ///   - byteCount: of header, key and value.
    ///   - valueOffset: of header and key, which must be in the first chunk.
    func allocateItem(_ byteCount: Int, valueOffset: Int) -> UnsafeMutableRawBufferPointer? {
        let linkedByteCount = (byteCount - valueOffset) / partSize * partSize
        guard linkedByteCount > 0 else { return arena.tryAllocateChunk(byteCount: byteCount) }
        guard let linked = arena.tryAllocateChain(byteCount: linkedByteCount, chunkSize: partSize) else { return nil }
        defer { arena.release(linked) }
        guard let head = arena.tryAllocateChunk(byteCount: byteCount - linkedByteCount) else { return nil }
        arena.setNext(linked, of: head)
        return head
    }

    /// The chunk size between a 16th and a 6th of a slab that fills a slab best.
    static func partSize(_ arena: SlabArena) -> Int {
        func waste(_ size: Int) -> Int { arena.slabSize % size }
        let sizes = arena.chunkSizes.filter { $0 >= arena.slabSize / 16 && $0 <= arena.slabSize / 6 }
        return sizes.min { waste($0) < waste($1) } ?? arena.slabSize
    }

    /// Visits the parts of an item's memory from a byte on.
    @inline(__always)
    func forEachPart(
        of item: UnsafeMutableRawBufferPointer, from offset: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        var skipped = offset
        func visit(_ part: UnsafeMutableRawBufferPointer) {
            let start = min(skipped, part.count)
            skipped -= start
            if start < part.count { body(UnsafeMutableRawBufferPointer(rebasing: part[start...])) }
        }
        if item.count == ItemHead(item.baseAddress.unsafelyUnwrapped).byteCount { return visit(item) }
        for part in arena.chain(item).segments { visit(part) }
    }

    /// Whether nobody but the index has a reference to any part of the item.
    func isUnshared(_ item: UnsafeMutableRawBufferPointer) -> Bool {
        var isUnshared = true
        forEachPart(of: item, from: 0) {
            if arena.referenceCount(of: $0.baseAddress.unsafelyUnwrapped) > 1 { isUnshared = false }
        }
        return isUnshared
    }
}

/// Fills parts of memory, one after the other.
struct PartWriter {
    private var parts: [UnsafeMutableRawBufferPointer]
    private var next = 0

    init(_ parts: [UnsafeMutableRawBufferPointer]) { self.parts = parts }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        var bytes = bytes
        while !bytes.isEmpty {
            let part = parts[next]
            let count = min(bytes.count, part.count)
            part.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
            advance(count)
        }
    }

    /// Notes that so many bytes were filled.
    mutating func advance(_ byteCount: Int) {
        var rest = byteCount
        while rest > 0 {
            let count = min(rest, parts[next].count)
            parts[next] = UnsafeMutableRawBufferPointer(rebasing: parts[next][count...])
            rest -= count
            if parts[next].isEmpty { next += 1 }
        }
    }

    /// What is still to be filled, and then another vector; of it all as much as a system call takes.
    func withVectors(and last: iovec, _ body: (UnsafeBufferPointer<iovec>) -> Int) -> Int {
        let most = 1024
        let count = parts.count - next
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: most) { vectors in
            for offset in 0..<min(count, most) {
                let part = parts[next + offset]
                vectors.initializeElement(at: offset, to: iovec(iov_base: part.baseAddress, iov_len: part.count))
            }
            if count < most { vectors.initializeElement(at: count, to: last) }
            return body(UnsafeBufferPointer(rebasing: vectors[..<min(count + 1, most)]))
        }
    }
}
