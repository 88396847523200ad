// A reference crosses to a task that may outlive the region.
import Mallow

func program() async throws {
    let region = Region()
    let number = try region.allocate(1)  // error: lifetime-dependent value escapes its scope
    let task = Task { number.value }
    _ = await task.value
}
