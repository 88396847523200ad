// The memory of items: one chunk, or a chain whose first chunk is as short as it can be and whose others are equal.
//
//     head: header, key, first bytes of the value -> pieceSize bytes -> pieceSize bytes -> …
//
// So that what is short, and lies among the small items, is what a location holds: it can be moved, and its slab emptied.
// A chunk that another links to stays where it is, but all such chunks are of one class, which serves every large item.

import Mallow

extension CacheStore {
    /// Memory for an item, with one reference; nil where there is none and none can be made.
    ///
    /// - Parameters:
    ///   - byteCount: of header, key and value.
    ///   - valueOffset: of header and key, which must be in the first chunk.
    func allocateItem(_ byteCount: Int, valueOffset: Int) -> UnsafeMutableRawBufferPointer? {
        let linkedByteCount = (byteCount - valueOffset) / pieceSize * pieceSize
        guard linkedByteCount > 0 else { return arena.tryAllocateChunk(byteCount: byteCount) }
        guard let linked = arena.tryAllocateChain(byteCount: linkedByteCount, chunkSize: pieceSize) else { return nil }
        defer { arena.release(linked) }
        guard let head = arena.tryAllocateChunk(byteCount: byteCount - linkedByteCount) else { return nil }
        arena.setNext(linked, of: head)
        return head
    }

    /// The chunk size between a 16th and a 6th of a slab that fills a slab best.
    static func pieceSize(_ arena: SlabArena) -> Int {
        func waste(_ size: Int) -> Int { arena.slabSize % size }
        let sizes = arena.chunkSizes.filter { $0 >= arena.slabSize / 16 && $0 <= arena.slabSize / 6 }
        return sizes.min { waste($0) < waste($1) } ?? arena.slabSize
    }

    /// Visits the parts of an item's memory from a byte on.
    @inline(__always)
    func forEachPiece(
        of item: UnsafeMutableRawBufferPointer, from offset: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        var skipped = offset
        func visit(_ piece: UnsafeMutableRawBufferPointer) {
            let start = min(skipped, piece.count)
            skipped -= start
            if start < piece.count { body(UnsafeMutableRawBufferPointer(rebasing: piece[start...])) }
        }
        if item.count == ItemHead(item.baseAddress.unsafelyUnwrapped).byteCount { return visit(item) }
        for piece in arena.chain(item).segments { visit(piece) }
    }

    /// Whether nobody but the index has a reference to any part of the item.
    func isUnshared(_ item: UnsafeMutableRawBufferPointer) -> Bool {
        var isUnshared = true
        forEachPiece(of: item, from: 0) {
            if arena.referenceCount(of: $0.baseAddress.unsafelyUnwrapped) > 1 { isUnshared = false }
        }
        return isUnshared
    }
}

/// Fills parts of memory, one after the other.
struct PieceWriter {
    private var pieces: [UnsafeMutableRawBufferPointer]
    private var next = 0

    init(_ pieces: [UnsafeMutableRawBufferPointer]) { self.pieces = pieces }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        var bytes = bytes
        while !bytes.isEmpty {
            let piece = pieces[next]
            let count = min(bytes.count, piece.count)
            piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
            advance(count)
        }
    }

    /// Notes that so many bytes were filled.
    mutating func advance(_ byteCount: Int) {
        var rest = byteCount
        while rest > 0 {
            let count = min(rest, pieces[next].count)
            pieces[next] = UnsafeMutableRawBufferPointer(rebasing: pieces[next][count...])
            rest -= count
            if pieces[next].isEmpty { next += 1 }
        }
    }

    /// What is still to be filled, and then another vector; of it all as much as a system call takes.
    func withVectors(and last: iovec, _ body: (UnsafeBufferPointer<iovec>) -> Int) -> Int {
        let most = 1024
        let count = pieces.count - next
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: most) { vectors in
            for offset in 0..<min(count, most) {
                let piece = pieces[next + offset]
                vectors.initializeElement(at: offset, to: iovec(iov_base: piece.baseAddress, iov_len: piece.count))
            }
            if count < most { vectors.initializeElement(at: count, to: last) }
            return body(UnsafeBufferPointer(rebasing: vectors[..<min(count + 1, most)]))
        }
    }
}
