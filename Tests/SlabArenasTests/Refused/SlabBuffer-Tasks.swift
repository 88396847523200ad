// A handle is not sent to a task while its arena stays behind.
import Mallow

func sendsAHandle(_ arena: SlabArena) throws {
    let buffer = try arena.makeBuffer(byteCount: 5)
    Task { print(buffer.count) }  // error: risks causing data races
    arena.trim()
}
