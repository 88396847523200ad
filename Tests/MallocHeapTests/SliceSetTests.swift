// The set of slices against the standard library's, over random changes.

import Testing

@testable import MallocHeap

@Suite struct SliceSetTests {
    @Test(arguments: [1, 2, 3, 4]) func behavesAsASet(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var set = SliceSet()
        var model = Set<Int>()
        for _ in 0..<3000 {
            let first = Int(random.next() % 512)
            let count = 1 + Int(random.next() % UInt64(min(512 - first, random.next() % 8 == 0 ? 512 : 70)))
            let isMember = random.next() % 2 == 0
            set.set(first, count: count, to: isMember)
            for slice in first..<(first + count) { if isMember { model.insert(slice) } else { model.remove(slice) } }

            #expect(set.count == model.count)
            #expect(set.isEmpty == model.isEmpty)
            let from = Int(random.next() % 513)
            #expect(set.firstMember(from: from) == (from..<512).first { model.contains($0) } ?? 512)
            #expect(set.firstNonMember(from: from) == (from..<512).first { !model.contains($0) } ?? 512)
            #expect(set.memberCount(first, count: count) == (first..<(first + count)).count { model.contains($0) })
            #expect(set.contains(first) == model.contains(first))
        }
    }
}
