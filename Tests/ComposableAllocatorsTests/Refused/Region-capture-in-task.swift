// A region is used by a task and by its owner at once.
import Mallow

func program() async throws {
    let region = Region()
    let task = Task { try region.allocate(1).value }  // error: risks causing data races
    _ = try region.allocate(2)
    _ = try await task.value
}
