// A bucket: values of one type in memory of exactly their size, for all threads. A tree of a million nodes of 24 bytes
// takes 24 MB, where malloc's blocks of 32 take 32.

import Mallow

struct Node: ~Copyable {
    var key: Int
    var left: UnsafeMutablePointer<Node>?
    var right: UnsafeMutablePointer<Node>?
}

struct Tree: ~Copyable {
    private let nodes = Bucket<Node>()
    private var root: UnsafeMutablePointer<Node>?
    private(set) var count = 0

    mutating func insert(_ key: Int) throws {
        let node = try nodes.allocate(initializingTo: Node(key: key, left: nil, right: nil))
        count += 1
        guard var place = root else {
            root = node
            return
        }
        while let next = key < place.pointee.key ? place.pointee.left : place.pointee.right { place = next }
        if key < place.pointee.key { place.pointee.left = node } else { place.pointee.right = node }
    }

    deinit {
        var rest = [root]
        while let node = rest.popLast() {
            guard let node else { continue }
            rest += [node.pointee.left, node.pointee.right]
            nodes.deinitializeAndDeallocate(node)
        }
    }
}

var tree = Tree()
for key in [5, 2, 8, 1, 9] { try tree.insert(key) }
print(tree.count, "nodes of", Bucket<Node>.blockSize, "bytes")

// One value with an owner.
let box = try Box(Node(key: 7, left: nil, right: nil), in: Bucket<Node>())
print(box.value.key)
