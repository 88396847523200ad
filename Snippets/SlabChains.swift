// An item larger than a slab as a chain of chunks: filled from a file, read across chunks, written by writev without
// being copied together.

import Mallow

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

let arena = try SlabArena(slabSize: 64 << 10)
let head = try arena.allocateChain(byteCount: 200_000)
let chain = arena.chain(head)

let random = open("/dev/urandom", O_RDONLY)
let filled = chain.fill { read(random, $0.baseAddress, $0.count) }
close(random)
print(filled, "bytes in", chain.segmentCount, "chunks")

// What a protocol calls a header lies across chunks as it likes.
var header = [UInt8](repeating: 0, count: 16)
header.withUnsafeMutableBytes { _ = chain.read(at: 65_530, into: $0) }
guard header.elementsEqual(chain.slice(65_530..<65_546).joined()) else { fatalError("the header is not what is there") }

let null = open("/dev/null", O_WRONLY)
let written = chain.withIOVectors { writev(null, $0.baseAddress, Int32($0.count)) }
close(null)
guard filled == 200_000, written == filled else { fatalError("\(filled) bytes filled, \(written) written") }

// The head's last reference takes the chain along.
arena.release(head)

// The same with a handle, which releases itself: no pointers, and a write asks for the only reference.
do {
    let text = Array("a long text ".utf8)
    var item = try arena.makeItem(copying: text.span.bytes, chunkSize: 8)
    item.write(at: 2, from: Array("LONG".utf8).span.bytes)
    print(String(decoding: item.bytes(), as: UTF8.self))
}
try arena.close()
