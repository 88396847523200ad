// A heap for what ends together: a session's blocks, freed at once, counted, visited, or left to the rest of the program.

import Mallow

let session = try Heap()
for number in 0..<100 { _ = try session.allocate(byteCount: 10 * number) }
let result = try session.allocate(byteCount: 5000)
result.storeBytes(of: 42, as: Int.self)
print(session.statistics)

// What is left of the session is looked at before it goes.
var largest = 0
session.forEachBlock { largest = max(largest, $0.count) }
print("the largest block holds \(largest) bytes")
do {
    try session.close()
} catch {
    print(error)
}
session.freeAll()
try session.close()

// Blocks can outlive the heap.
let kept = try session.allocate(byteCount: 300)
session.moveBlocksToShared()
try session.close()
Heap.shared.deallocate(kept)
