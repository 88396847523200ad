// Small requests to a pool, large ones straight to malloc. A free finds its side by the address.

import Mallow

let allocator = try ThresholdAllocator(
    threshold: 64, small: FixedBlockAllocator(blockSize: 64), large: SystemAllocator())
let small = try allocator.allocate(byteCount: 40)
let large = try allocator.allocate(byteCount: 4000)
print("\(small.count) and \(large.count) usable bytes")
allocator.deallocate(large)
allocator.deallocate(small)
try allocator.close()
