// ScalableAllocator as it is meant to be used.
import Mallow

func borrowing(_ allocator: ScalableAllocator) throws -> Int {
    var memory = try allocator.borrow(byteCount: 100)
    var bytes = memory.mutableBytes
    bytes.storeBytes(of: 5, toByteOffset: 8, as: UInt64.self)
    let number = memory.bytes.unsafeLoad(fromByteOffset: 8, as: UInt64.self)
    let more = try allocator.withBorrowed(byteCount: 10) { memory in
        memory.withUnsafeMutableBytes { $0.count }
    }
    return Int(number) + more
}

func program() throws -> Int {
    let allocator = try ScalableAllocator(initialSize: 4096, source: .pages, checked: true)
    let block = try allocator.allocate(byteCount: 1000)
    allocator.deallocate(part: UnsafeMutableRawBufferPointer(rebasing: block[160..<320]))
    allocator.freeRest(of: block.baseAddress!, keeping: 100)
    let read = try allocator.read(upTo: 4096, from: 0)
    let filled = try allocator.read(upTo: 4096) { buffer in
        buffer[0] = 1
        return 1
    }
    allocator.recycle()
    allocator.trim()
    let shared = try SharedScalableAllocator(source: .buddy(SharedBuddyMemory()))
    shared.deallocate(try shared.allocate(byteCount: 10))
    return try borrowing(allocator) + (read?.count ?? 0) + (filled?.count ?? 0) + allocator.children.count
}
