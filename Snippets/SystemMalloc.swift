// The system's malloc, chosen at run time: any allocator fits where `any Allocator` stands.

import Mallow

func makeGreeting(in allocator: any Allocator) throws {
    let bytes = try allocator.allocate(copying: "hello".utf8)
    print(String(decoding: bytes, as: UTF8.self))
    allocator.deallocate(bytes)
}

try makeGreeting(in: SystemAllocator())
try makeGreeting(in: FixedBlockAllocator(blockSize: 32))
