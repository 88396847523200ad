import RangeAllocators
import Testing

@Suite struct RangeAllocatorTests {
    @Test func infersSegregatedFit() {
        let ranges = RangeAllocator(size: 100)
        #expect(type(of: ranges) == RangeAllocator<SegregatedFit>.self)
        let same: RangeAllocator<SegregatedFit> = RangeAllocator(size: 100, checks: .everything)
        #expect(same.size == 100)
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6])
    func followsAModel(seed: UInt64) {
        var state = seed
        func random(_ n: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(n))
        }
        let size = [64, 500, 4000, 1 << 20, 300, 2000][Int(seed) - 1]
        let most = [10, 50, 100, 1 << 15, 5, 300][Int(seed) - 1]
        let ranges = RangeAllocator(size: size, checks: seed == 6 ? .everything : .boundaries)
        var used: [Range<Int>] = []  // sorted
        func modelFree() -> [Range<Int>] {
            var free: [Range<Int>] = []
            var start = 0
            for u in used {
                if u.lowerBound > start { free.append(start..<u.lowerBound) }
                start = max(start, u.upperBound)
            }
            if start < size { free.append(start..<size) }
            return free
        }
        var nones = 0
        for _ in 0..<4000 {
            if random(2) == 0 || used.isEmpty {
                let count = 1 + random(most)
                let alignment = 1 << random(5)
                let place = ranges.find(count, alignment: alignment)
                let range = ranges.allocate(count, alignment: alignment)
                #expect(place == range)
                let fits = modelFree().contains {
                    ($0.lowerBound + alignment - 1) / alignment * alignment + count <= $0.upperBound
                }
                #expect(fits == (range != nil))
                guard let range else {
                    nones += 1
                    continue
                }
                #expect(range.count == count && range.lowerBound % alignment == 0)
                #expect(!used.contains { $0.overlaps(range) })
                used.insert(range, at: used.firstIndex { $0.lowerBound > range.lowerBound } ?? used.count)
            } else {
                let index = random(used.count)
                let range = used[index]
                switch random(3) {
                case 0:
                    used.remove(at: index)
                    ranges.deallocate(range)
                case 1:
                    let a = random(range.count + 1)
                    let b = random(range.count + 1)
                    let part = range.lowerBound + min(a, b)..<range.lowerBound + max(a, b)
                    used.replaceSubrange(
                        index...index,
                        with: [range.lowerBound..<part.lowerBound, part.upperBound..<range.upperBound].filter {
                            !$0.isEmpty
                        })
                    ranges.deallocate(part)
                default:
                    var end = index
                    while end + 1 < used.count, used[end + 1].lowerBound == used[end].upperBound { end += 1 }
                    let whole = range.lowerBound..<used[end].upperBound
                    used.removeSubrange(index...end)
                    ranges.deallocate(whole)
                }
            }
            #expect(ranges.brokenInvariant() == nil)
            #expect(ranges.freeRanges == modelFree())
            #expect(ranges.largestFree == modelFree().map(\.count).max() ?? 0)
        }
        #expect(nones > 0)
    }
}
