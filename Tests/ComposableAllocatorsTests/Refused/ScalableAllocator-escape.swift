// Borrowed memory, and a span of it, leave the function.
import Mallow

// error: a function cannot return a ~Escapable result
func borrowed(_ allocator: ScalableAllocator) throws -> BorrowedMemory {
    try allocator.borrow(byteCount: 100)
}

// error: a function cannot return a ~Escapable result
func span(_ allocator: ScalableAllocator) throws -> MutableRawSpan {
    var memory = try allocator.borrow(byteCount: 10)
    return memory.mutableBytes
}
