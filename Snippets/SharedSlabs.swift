// A cache's values in a slab arena that all tasks share: the index holds locations, and a reader takes a reference for
// as long as it reads. What was removed meanwhile is found out.

import Mallow

let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 1 << 16)

func makeValue(_ text: String) throws -> SlabLocation {
    let bytes = Array(text.utf8)
    return try arena.makeBuffer(copying: bytes.span.bytes).store()
}

let location = try makeValue("hello")
await withTaskGroup(of: Void.self) { group in
    for _ in 1...4 {
        group.addTask {
            for _ in 0..<1000 {
                guard let value = arena.makeBuffer(at: location) else { fatalError("it is gone") }
                precondition(value.span.unsafeLoad(as: UInt8.self) == UInt8(ascii: "h"))
            }
        }
    }
}

// Whoever takes it has the reference; nobody finds it any more.
func remove(_ location: SlabLocation) {
    if let value = arena.takeBuffer(at: location) { print("took \(value.count) bytes") }
}
remove(location)
precondition(!arena.isLive(location))
try arena.close()
