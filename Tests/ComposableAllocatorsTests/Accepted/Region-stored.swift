// A region is stored in an object, in a struct and in an actor, and given to a task that then owns it.
import Mallow

final class Parser {
    var region = Region()

    func parse(_ text: String) throws -> Int {
        defer { region.reset() }
        return try region.makeCString(text).count
    }
}

struct Frame: ~Copyable {
    var region = Region()

    mutating func draw() throws -> Int {
        let count = try region.allocate(repeating: 1, count: 100).count
        region.reset()
        return count
    }
}

actor Worker {
    private var region = Region()

    func work() throws -> Int {
        defer { region.reset() }
        return try region.allocate(1).value
    }
}

func program() async throws -> Int {
    var frame = Frame()
    let task = Task {
        let region = Region()
        return try region.allocate(1).value
    }
    let drawn = try frame.draw()
    let parsed = try Parser().parse("text")
    return try await drawn + parsed + Worker().work() + task.value
}
