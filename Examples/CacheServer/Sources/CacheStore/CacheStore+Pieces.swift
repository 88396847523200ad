// The memory of items: a chunk, or a chain of equal chunks whose last one is as short as what is left.

import Mallow

extension CacheStore {
    /// Memory for an item of so many bytes, with one reference; nil where there is none and none can be made.
    func allocateItem(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount <= largestSingle { return arena.tryAllocateChunk(byteCount: byteCount) }
        return try? arena.allocateChain(byteCount: byteCount, chunkSize: pieceSize)
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

/// Copies bytes into parts of memory, one after the other.
struct PieceWriter {
    private let pieces: [UnsafeMutableRawBufferPointer]
    private var next = 0
    private var part: UnsafeMutableRawBufferPointer

    init(_ pieces: [UnsafeMutableRawBufferPointer]) {
        self.pieces = pieces
        part = pieces.first ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        var bytes = bytes
        while !bytes.isEmpty {
            while part.isEmpty {
                next += 1
                part = pieces[next]
            }
            let count = min(bytes.count, part.count)
            part.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
            part = UnsafeMutableRawBufferPointer(rebasing: part[count...])
        }
    }
}
