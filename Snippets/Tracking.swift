// Where was it allocated, and never freed? The tracking allocator stands in for any other while one looks.

import Mallow

let allocator = TrackingAllocator()
let kept = try allocator.allocate(byteCount: 100)
allocator.deallocate(try allocator.allocate(byteCount: 200))
do {
    try allocator.close()
} catch {
    print(error)
}
allocator.deallocate(kept)
try allocator.close()
