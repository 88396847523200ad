// Borrowed memory is written through two spans at once.
import Mallow

func twice(_ allocator: ScalableAllocator) throws {
    var memory = try allocator.borrow(byteCount: 100)
    var one = memory.mutableBytes  // error: overlapping accesses to 'memory'
    var two = memory.mutableBytes
    one.storeBytes(of: 1, as: UInt8.self)
    two.storeBytes(of: 2, as: UInt8.self)
}
