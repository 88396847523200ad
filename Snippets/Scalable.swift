// Memory of any size, of which any part can be freed: a message is received into borrowed memory, one is read and what
// it left of its block goes back, a block is cut into three, and all of a round is recycled at once. Checked, as in a
// debug build: borrowed memory that is used too late ends the program with a message.

import Mallow

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

let allocator = try ScalableAllocator(initialSize: 64 << 10, largestChild: 1 << 20, checked: true)

// Parts: what is left of a block are blocks, each freed by its own address. The contents stay.
let packet = try allocator.allocate(byteCount: 1600)
for index in packet.indices { packet[index] = UInt8(truncatingIfNeeded: index) }
let freed = allocator.deallocate(part: UnsafeMutableRawBufferPointer(rebasing: packet[160..<1440]))
let tail = freed.baseAddress! + freed.count
print("cut: \(allocator.byteCount(of: packet.baseAddress!)) bytes, and \(allocator.byteCount(of: tail)) behind")
guard tail.load(as: UInt8.self) == UInt8(1440 % 256) else { fatalError("a cut moves nothing") }
// The count of a buffer says nothing to `deallocate`: all of the first block goes, which by now is 160 bytes.
allocator.deallocate(packet)
// Of the other, the first bytes stay.
allocator.freeRest(of: tail, keeping: 40)
guard allocator.usedByteCount == 48 else { fatalError("40 bytes are three granules of 16") }
allocator.deallocate(tail)

// Borrowing: memory for a moment, which nobody has to free. It is good until the next call of the allocator.
func greet(_ name: String, in allocator: ScalableAllocator) throws -> Int {
    var memory = try allocator.borrow(byteCount: 256)
    let count = memory.withUnsafeMutableBytes { bytes in
        let text = "Hello, \(name)!".utf8
        bytes.copyBytes(from: text)
        return text.count
    }
    // A span is a variable where it is written to, and is asked for where it is used: it is not looked at again.
    var bytes = memory.mutableBytes
    bytes.storeBytes(of: UInt8(ascii: "h"), as: UInt8.self)
    guard memory.bytes.unsafeLoad(as: UInt8.self) == UInt8(ascii: "h") else { fatalError("what was written is read") }
    return count
}
print("borrowed: \(try greet("Mallow", in: allocator)) bytes written, \(allocator.statistics.liveBlocks) blocks live")

// Reading: a block for the most that may come, of which what did not come is free again.
var ends: [Int32] = [0, 0]
guard pipe(&ends) == 0, write(ends[1], "two hundred", 11) == 11 else { fatalError("no pipe") }
close(ends[1])
guard let arrived = try allocator.read(upTo: 64 << 10, from: ends[0]) else { fatalError("the pipe has bytes") }
print("read: \(arrived.count) of 65536 bytes, \(allocator.byteCount(of: arrived.baseAddress!)) of which are taken")
// At the end nothing is allocated, and what a closure reports as an error gives all back.
guard try allocator.read(upTo: 4096, from: ends[0]) == nil else { fatalError("the pipe is at its end") }
close(ends[0])
struct Malformed: Error {}
do {
    _ = try allocator.read(upTo: 4096) { _ in throw Malformed() }
} catch is Malformed {}
guard allocator.statistics.liveBlocks == 1 else { fatalError("what was read is live, and nothing else") }

// Recycling: a round's blocks are freed at once, and its children stay for the next one.
for round in 1...3 {
    for size in 1...500 { _ = try allocator.allocate(byteCount: size) }
    print("round \(round): \(allocator.usedByteCount) bytes in \(allocator.childCount) children")
    allocator.recycle()
}
guard allocator.findLeaks() == nil, allocator.childCount > 0 else { fatalError("children stay, blocks do not") }

// Trimming: what nothing is live in goes back to the source, without a wait.
print("trimmed: \(allocator.trim()) bytes")
guard allocator.heldByteCount == 0 else { fatalError("nothing is live: nothing is held") }
try allocator.close()
