// An allocator of one thread is used by another.
import Mallow

func elsewhere(_ allocator: ScalableAllocator) async throws {
    // error: passing closure as a 'sending' parameter risks causing data races
    let task = Task { try allocator.allocate(byteCount: 1).count }
    _ = try allocator.allocate(byteCount: 1)
    _ = try await task.value
}
