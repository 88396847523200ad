// The table of a SegregatedFit's ends where it is small and offsets are spread widely: there both ends of a range are
// sought in the same buckets, and often enough have the same tag.

import Testing

@testable import RangeAllocators

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

    /// A strategy by itself may have offsets below 0, which RangeAllocator has not.
    @Test func rangesBelowZeroStayWhenTheTableGrows() {
        var fit = SegregatedFit()
        let ranges = (0..<200).map { $0 * 10 - 1000..<$0 * 10 - 993 }
        for range in ranges { expect(fit.insert(range.lowerBound, range.upperBound)) }
        expect(fit.freeRanges() == ranges && fit.brokenInvariant() == nil)
        for range in ranges.dropLast() { expect(fit.insert(range.upperBound, range.upperBound + 3)) }
        expect(fit.freeRanges() == [-1000..<997] && fit.brokenInvariant() == nil)
    }

    @Test func noMoreRangesThanHaveANumber() async {
        #expect(RangeNodes.capacity(after: 4) == 8)
        #expect(RangeNodes.capacity(after: 1000) == 1250)
        #expect(RangeNodes.capacity(after: 1 << 31 - 1) == 1 << 31)
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = RangeNodes.capacity(after: 1 << 31)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("SegregatedFit: more than 2^31 free ranges"))
    }

    /// Entries of each bucket passed it, while it was full, so that no bucket ends a search for what is not there.
    @Test func everyBucketIsPassed() {
        let ranges = RangeAllocator(size: 1 << 30)
        #expect(ranges.allocate(0..<1 << 20))
        var next = 1
        // Offsets whose hash wants one of the first two buckets: see RangeEnds.hash.
        func offset(_ bucket: UInt64) -> Int {
            while ((UInt64(next) ^ UInt64(next) >> 32) &* 0x9e37_79b9_7f4a_7c15) >> 63 != bucket { next += 1 }
            defer { next += 1 }
            return next
        }
        func free(_ bucket: UInt64) -> Range<Int> {
            let lower = offset(bucket)
            let range = lower..<offset(bucket)
            next += 1
            ranges.deallocate(range)
            return range
        }
        let first = (0..<4).map { _ in free(0) }
        for range in first.dropLast() { #expect(ranges.allocate(range)) }
        for _ in 0..<3 { _ = free(1) }
        ranges.deallocate(next + 10..<next + 11)
        #expect(ranges.freeRangeCount == 6)
        #expect(ranges.brokenInvariant() == nil)
    }
}
