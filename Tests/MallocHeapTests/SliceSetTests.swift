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
            if model.contains(first) {
                let lower = (0..<first).last { !model.contains($0) } ?? -1
                let upper = (first..<512).first { !model.contains($0) } ?? 512
                #expect(set.runLength(around: first) == upper - lower - 1)
            }
            let wanted = 1 + Int(random.next() % 40)
            let alignment = 1 << Int(random.next() % 5)
            let found = set.shortestRun(holding: wanted, alignment: alignment)
            let runs = Self.runs(of: model)
            let fitting = runs.compactMap { run -> (first: Int, length: Int)? in
                let aligned = (run.lowerBound + alignment - 1) / alignment * alignment
                return run.upperBound - aligned >= wanted ? (aligned, run.count) : nil
            }
            #expect(found.first == fitting.min { ($0.length, $0.first) < ($1.length, $1.first) }?.first ?? 512)
            if let longest = found.longest {
                #expect(longest == runs.map(\.count).max() ?? 0)
            } else {
                #expect(fitting.contains { $0.length == wanted })
            }
        }
    }

    private static func runs(of model: Set<Int>) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for slice in model.sorted() {
            if let last = runs.last, last.upperBound == slice {
                runs[runs.count - 1] = last.lowerBound..<(slice + 1)
            } else {
                runs.append(slice..<(slice + 1))
            }
        }
        return runs
    }
}
