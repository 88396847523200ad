// A Swift program linked with libmallow.a, its standard library dynamic or static: proves that the blocks of Swift's
// own objects are Mallow's, and that tasks on several threads can free each other's. Exits with 0 when all holds.
// mallow.h comes in as the bridging header.

import Glibc

final class Node: Sendable {
    let next: Node?
    let values: [Int]
    init(_ next: Node?, _ values: [Int]) {
        self.next = next
        self.values = values
    }
}

func liveBlocks() -> UInt64 {
    var statistics = mallow_statistics()
    mallow_statistics(&statistics)
    return statistics.live_blocks
}

func list(_ length: Int) -> Node {
    var first = Node(nil, [0])
    for index in 1..<length { first = Node(first, Array(0..<(index % 40 + 1))) }
    return first
}

func sum(_ first: Node) -> Int {
    var node: Node? = first
    var total = 0
    while let current = node {
        total += current.values.reduce(0, +)
        node = current.next
    }
    return total
}

func expect(_ holds: Bool, _ what: String) {
    if !holds {
        print(what)
        exit(1)
    }
}

@main
enum Linked {
    static func main() async {
        let block = malloc(100)
        expect(mallow_usable_size(block) == 112, "malloc is not Mallow's")
        free(block)

        let before = liveBlocks()
        var kept: Node? = list(1000)
        let full = liveBlocks()
        expect(full >= before + 2000, "1,000 objects and arrays counted as \(full) blocks after \(before)")
        expect(sum(kept!) > 0, "the list is empty")
        kept = nil
        expect(liveBlocks() <= before + 100, "\(liveBlocks()) blocks are live, and were \(before)")

        let expected = sum(list(500))
        let lists = await withTaskGroup(of: Node.self, returning: [Node].self) { group in
            for _ in 0..<200 { group.addTask { list(500) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        await withTaskGroup(of: Int.self) { group in
            for list in lists { group.addTask { sum(list) } }
            for await total in group { expect(total == expected, "a list was spoilt") }
        }
        let words = (0..<20_000).map { "number \($0) as a string that is not small" }
        expect(Set(words).count == 20_000, "strings were spoilt")
        print("linked")
    }
}
