// The README's example, so that it is known to compile.

import Mallow

struct Node {
    var value: Int
}

func work() throws {
    let pool = try FixedBlockAllocator(blockSize: 64)  // a FixedBlockAllocator<SystemAllocator>
    let node = try pool.allocate(initializingTo: Node(value: 1))  // an UnsafeMutablePointer<Node>
    pool.deinitializeAndDeallocate(node)
    try pool.close()  // throws a LeakError if a block is still live

    // What the pool does not serve goes to malloc.
    let allocator = FallbackAllocator(primary: pool, secondary: SystemAllocator())
    let large = try allocator.allocate(byteCount: 5000)
    allocator.deallocate(large)

    var region = Region()  // bump allocation, all freed at once
    let numbers = try region.allocate(copying: [1, 2, 3])  // a MutableSpan
    print(numbers[0] + numbers[2])
    region.reset()  // using `numbers` below this does not compile
}
try work()
