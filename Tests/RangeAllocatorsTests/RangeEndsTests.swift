// The table of a SegregatedFit's ends where it is small and offsets are spread widely: there both ends of a range are
// sought in the same buckets, and often enough have the same tag.

import RangeAllocators
import Testing

@Suite struct RangeEndsTests {
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func endsThatMeetInABucket(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let size = 1 << 46
        let ranges = RangeAllocator(size: size, checks: .everything)
        #expect(ranges.allocate(0..<size))
        var free: [Range<Int>] = []
        for _ in 0..<300 {
            if free.count < 6 || free.count < 14 && random.next() % 2 == 0 {
                // Blocks anywhere, none of which touches another.
                let lower = Int(random.next() % UInt64(size >> 12)) << 12
                let range = lower..<lower + 1 + Int(random.next() % 4095)
                guard !free.contains(where: { $0.lowerBound >> 12 == lower >> 12 }) else { continue }
                ranges.deallocate(range)
                free.append(range)
            } else {
                let index = Int(random.next() % UInt64(free.count))
                let range = free[index]
                let cut = range.count / 3
                // The front, the end or the middle, and then the rest.
                let part = [
                    range.lowerBound..<range.lowerBound + cut, range.upperBound - cut..<range.upperBound,
                    range.lowerBound + cut..<range.upperBound - cut,
                ][Int(random.next() % 3)]
                #expect(ranges.allocate(part))
                try #require(ranges.brokenInvariant() == nil)
                ranges.deallocate(part)
                if random.next() % 2 == 0 {
                    #expect(ranges.allocate(range))
                    free.remove(at: index)
                }
            }
            try #require(ranges.brokenInvariant() == nil)
        }
        #expect(ranges.freeRanges == free.sorted { $0.lowerBound < $1.lowerBound })
    }
}
