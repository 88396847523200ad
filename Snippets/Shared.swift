// One ladder of pools for all tasks, behind a lock: `Synchronized` makes any allocator `Sendable`. And memory for
// messages that one task makes and another frees, of which any part goes back.

import Mallow

let ladder = Synchronized(try TieredAllocator(blockSizes: [32, 128, 512]))
await withTaskGroup(of: Void.self) { group in
    for task in 1...4 {
        group.addTask {
            for _ in 0..<1000 {
                guard let block = ladder.tryAllocate(byteCount: task * 100, alignment: 8) else { return }
                ladder.deallocate(block)
            }
        }
    }
}
try ladder.close()
print("all given back")

/// Who has it last frees it.
struct Message: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
}

let memory = try SharedScalableAllocator()
await withTaskGroup(of: Message?.self) { group in
    for task in 1...4 {
        group.addTask {
            // Room for the largest; what did not come goes back at once.
            guard let room = memory.tryAllocate(byteCount: 4096, alignment: 16) else { return nil }
            return Message(bytes: memory.freeRest(of: room.baseAddress!, keeping: 100 * task))
        }
    }
    for await message in group {
        guard let message else { continue }
        print("a message of \(message.bytes.count) bytes")
        memory.deallocate(message.bytes)
    }
}
try memory.close()
