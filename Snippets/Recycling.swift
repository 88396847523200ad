// Buffers that go back together: the parts of a message, out of one allocator, given back when it is answered; a header
// that stays for all of them; and one message whose bytes go on elsewhere without being copied.

import Mallow

let blocks = ScalableAllocator()
var memory = RecyclableMemory(allocator: blocks)
let header = Array("Mallow ".utf8)
try memory.append(copying: header.span.bytes)
memory.setKept(true, at: 0)

for number in 1...3 {
    for part in 1...number {
        let buffer = try memory.allocate(byteCount: 100 * part)
        buffer.initializeMemory(as: UInt8.self, repeating: UInt8(part))
    }
    print("message \(number): \(memory.count) buffers, \(memory.byteCount) bytes")
    memory.recycle()
}
guard memory.count == 1, memory.span(at: 0).byteCount == header.count else { fatalError("the header is kept") }

// What was only tried goes back to the mark.
let mark = memory.mark()
_ = try memory.allocate(byteCount: 1000)
memory.recycle(from: mark)

// The bytes leave the sequence, which is empty then; their memory goes back when the last segment is gone.
try memory.append(copying: Array("streams".utf8).span.bytes)
do {
    let message = memory.takeSegments()
    guard memory.isEmpty, message.segmentCount == 2 else { fatalError("the segments have taken the memory") }
    print(String(decoding: message.segments.flatMap { Array($0.unsafeBytes) }, as: UTF8.self))
}
guard blocks.statistics.liveBlocks == 0 else { fatalError("blocks are left") }
