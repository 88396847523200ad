// The unsafe face of a region is shared by two tasks.
import Mallow

func program(_ allocator: RegionAllocator) async throws {
    let task = Task.detached {  // error: risks causing data races
        allocator.freeAll()
    }
    allocator.freeAll()
    await task.value
}
