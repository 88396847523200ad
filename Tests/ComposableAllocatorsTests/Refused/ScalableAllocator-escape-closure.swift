// A closure that outlives the scope uses borrowed memory.
import Mallow

func later(_ allocator: ScalableAllocator) throws -> () -> Int {
    let memory = try allocator.borrow(byteCount: 100)  // error: lifetime-dependent value escapes its scope
    return { memory.byteCount }
}
