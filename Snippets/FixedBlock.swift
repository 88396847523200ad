// A pool for the nodes of a list: blocks of one size, out of pages of 64 KiB.

import Mallow

struct Node {
    var value: Int
    var next: UnsafeMutablePointer<Node>?
}

let pool = try FixedBlockAllocator(blockSize: MemoryLayout<Node>.stride)

var head: UnsafeMutablePointer<Node>?
for value in 1...1000 { head = try pool.allocate(initializingTo: Node(value: value, next: head)) }
print(pool.statistics)

while let node = head {
    head = node.pointee.next
    pool.deinitializeAndDeallocate(node)
}
// Throws a LeakError if a node were forgotten.
try pool.close()
