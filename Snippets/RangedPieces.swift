// Pieces of one buffer that is given: what shared memory, a mapping or a device's buffer is shared out by. Any part of
// what is allocated goes back, and what is not allocated is refused.

import Mallow

let allocator = PageAllocator()
let pages = try allocator.allocate(byteCount: 64 << 10, alignment: 4096)
var memory = try RangedMemory(pages, granule: 16)

guard let table = memory.allocate(byteCount: 4096, alignment: 4096),
    let text = memory.allocate(byteCount: 1000)
else { fatalError("64 KiB are too few") }
print("used \(memory.usedByteCount) bytes, the largest free piece has \(memory.largestFree)")

// The second half of the table is not needed.
let half = UnsafeMutableRawBufferPointer(rebasing: table[2048...])
guard memory.deallocate(half), !memory.deallocate(half) else { fatalError("a half goes back once") }
guard !memory.deallocate(UnsafeMutableRawBufferPointer(start: pages.baseAddress! - 16, count: 32)) else {
    fatalError("what lies before the buffer is not its own")
}

// What is free is a value that can be kept beside the bytes, and counts from the buffer's start.
let snapshot = memory.snapshot
memory.freeAll()
try memory.restore(snapshot)
guard memory.deallocate(text), memory.usedByteCount == 2048 else { fatalError("the table's first half is left") }

// Small ones come and go without making anything anew.
for request in 1...3 {
    var small = try RangedMemory.pooled(byteCount: 1000)
    let piece = small.allocate(byteCount: 100 * request)
    print("request \(request): \(piece?.count ?? 0) of \(small.byteCount) bytes")
}
let statistics = RangedMemoryPool.shared.statistics
print("made \(statistics.made), used again \(statistics.reused)")
allocator.deallocate(pages)
try allocator.close()
