// What RangeAllocator does whatever the strategy, shown with the one that is taken where none is named. The strategies
// have their own tests, against a model.

import RangeAllocators
import Testing

@Suite struct RangeAllocatorTests {
    @Test func infersSegregatedFit() {
        let ranges = RangeAllocator(size: 100)
        #expect(type(of: ranges) == RangeAllocator<SegregatedFit>.self)
        #expect(ranges.size == 100 && ranges.freeCount == 100 && ranges.isEmpty && ranges.largestFree == 100)
    }

    @Test func partsAreFreedByOffsetAlone() throws {
        let ranges = RangeAllocator(size: 100, checks: .everything)
        let first = try #require(ranges.allocate(30))
        let second = try #require(ranges.allocate(30))
        #expect(first == 0..<30 && second == 30..<60)
        ranges.deallocate(10..<20)
        #expect(ranges.freeRanges == [10..<20, 60..<100])
        // Across the two allocations.
        ranges.deallocate(25..<40)
        #expect(ranges.usedRanges == [0..<10, 20..<25, 40..<60])
        ranges.deallocate(20..<25)
        #expect(ranges.freeRanges == [10..<40, 60..<100])
        ranges.deallocate(40..<60)
        ranges.deallocate(0..<10)
        #expect(ranges.freeRanges == [0..<100] && ranges.isEmpty)
        #expect(ranges.brokenInvariant() == nil)
    }

    @Test func findingTakesNothing() {
        let ranges = RangeAllocator(size: 100)
        _ = ranges.allocate(3)
        #expect(ranges.find(10, alignment: 16) == 16..<26)
        #expect(ranges.find(10, alignment: 16) == 16..<26)
        #expect(ranges.find(98) == nil && ranges.find(90, alignment: 16) == nil)
        #expect(ranges.usedCount == 3)
        #expect(ranges.allocate(10, alignment: 16) == 16..<26)
        #expect(ranges.freeRanges == [3..<16, 26..<100])
    }

    @Test func nothingIsARange() {
        let ranges = RangeAllocator(size: 8)
        #expect(ranges.allocate(0) == 0..<0 && ranges.find(0) == 0..<0 && ranges.allocate(3..<3))
        ranges.deallocate(5..<5)
        #expect(ranges.isEmpty)
        let none = RangeAllocator(size: 0)
        #expect(none.allocate(1) == nil && none.allocate(0) != nil && none.freeRanges.isEmpty && none.freeAtEnd == 0)
    }

    @Test func takesAPlaceThatIsNamed() {
        let ranges = RangeAllocator(size: 100, checks: .everything)
        #expect(ranges.allocate(40..<50))
        #expect(!ranges.allocate(49..<51) && !ranges.allocate(30..<60) && !ranges.allocate(44..<45))
        #expect(ranges.allocate(0..<40) && ranges.allocate(60..<100) && ranges.allocate(53..<55))
        #expect(ranges.freeRanges == [50..<53, 55..<60])
        #expect(ranges.allocate(50..<53) && ranges.allocate(56..<60) && ranges.allocate(55..<56))
        #expect(ranges.freeCount == 0 && ranges.brokenInvariant() == nil)
    }

    @Test func theSpaceGrowsAndIsTrimmed() {
        let ranges = RangeAllocator(size: 100, checks: .everything)
        _ = ranges.allocate(100)
        ranges.grow(to: 200)
        #expect(ranges.freeAtEnd == 100 && ranges.allocate(50) == 100..<150)
        ranges.grow(to: 300)
        #expect(ranges.freeRanges == [150..<300] && ranges.freeAtEnd == 150)
        #expect(ranges.trim() == 150 && ranges.size == 150 && ranges.freeCount == 0 && ranges.trim() == 0)
        ranges.deallocate(20..<30)
        #expect(ranges.freeAtEnd == 0 && ranges.trim() == 0 && ranges.size == 150)
        ranges.reset()
        #expect(ranges.freeRanges == [0..<150])
        _ = ranges.allocate(10)
        ranges.reset(size: 7)
        #expect(ranges.size == 7 && ranges.isEmpty && ranges.allocate(7) == 0..<7 && ranges.allocate(1) == nil)
        #expect(ranges.trim() == 0)
        ranges.deallocate(0..<7)
        #expect(ranges.trim() == 7 && ranges.size == 0)
        ranges.grow(to: 10)
        #expect(ranges.allocate(10) == 0..<10 && ranges.brokenInvariant() == nil)
    }

    @Test func theSpaceIsVast() throws {
        let size = RangeAllocator<SegregatedFit>.largestSize
        let ranges = RangeAllocator(size: size, checks: .everything)
        #expect(ranges.allocate(size) == 0..<size && ranges.allocate(1) == nil)
        ranges.deallocate(1 << 60..<3 << 60)
        #expect(ranges.allocate(1 << 61, alignment: 1 << 61) == nil)
        #expect(ranges.find(1 << 60, alignment: 1 << 61) == 1 << 61..<3 << 60)
        ranges.deallocate(size - 1..<size)
        #expect(ranges.largestFree == 1 << 61 && ranges.freeAtEnd == 1)
        #expect(ranges.allocate(.max) == nil && ranges.find(.max) == nil)
        #expect(ranges.allocate(1 << 61) == 1 << 60..<3 << 60)
        #expect(ranges.allocate(1) == size - 1..<size)
        #expect(ranges.brokenInvariant() == nil)
    }

    @Test func recordsOfAMomentAreGivenBack() {
        let ranges = RangeAllocator(size: 40_000)
        _ = ranges.allocate(40_000)
        let least = ranges.metadataByteCount
        for offset in stride(from: 0, to: 40_000, by: 2) { ranges.deallocate(offset..<offset + 1) }
        let most = ranges.metadataByteCount
        #expect(ranges.freeRangeCount == 20_000)
        #expect(most < 32 * 40_000, "32 bytes a range, free or used")
        for offset in stride(from: 1, to: 40_000, by: 2) { ranges.deallocate(offset..<offset + 1) }
        #expect(ranges.freeRangeCount == 1 && ranges.metadataByteCount < least + most / 8)
        #expect(ranges.brokenInvariant() == nil)
    }

    @Test func freeingWhatIsFreeTraps() async {
        // A boundary shows these, whatever is checked.
        await #expect(processExitsWith: .failure) {
            let ranges = RangeAllocator(size: 100)
            _ = ranges.allocate(50)
            ranges.deallocate(10..<20)
            ranges.deallocate(10..<15)
        }
        await #expect(processExitsWith: .failure) {
            let ranges = RangeAllocator(size: 100)
            _ = ranges.allocate(50)
            ranges.deallocate(10..<20)
            ranges.deallocate(5..<20)
        }
        // No boundary shows this one: what is checked in every case does.
        await #expect(processExitsWith: .failure) {
            let ranges = RangeAllocator(size: 100, checks: .everything)
            _ = ranges.allocate(60)
            ranges.deallocate(10..<20)
            ranges.deallocate(5..<25)
        }
        await #expect(processExitsWith: .failure) {
            let ranges = RangeAllocator(size: 100, checks: .everything)
            _ = ranges.allocate(60)
            ranges.deallocate(10..<20)
            ranges.deallocate(12..<13)
        }
    }

    @Test func messagesNameTheCallAndTheRange() async throws {
        func message(_ result: ExitTest.Result?) -> String {
            String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        }
        var result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let ranges = RangeAllocator(size: 100)
            _ = ranges.allocate(50)
            ranges.deallocate(10..<20)
            ranges.deallocate(10..<20)
        }
        #expect(message(result).contains("RangeAllocator: deallocate(10..<20) of what is free already, or in part"))
        result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            RangeAllocator(size: 100).deallocate(90..<101)
        }
        #expect(message(result).contains("RangeAllocator: deallocate(90..<101) is not within the space 0..<100"))
        result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let ranges = RangeAllocator(size: 100)
            _ = ranges.allocate(10)
            ranges.deallocate(50..<80)
        }
        #expect(message(result).contains("RangeAllocator: deallocate(50..<80) frees more than is allocated, 10"))
        result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = RangeAllocator(size: 100).allocate(10, alignment: 24)
        }
        #expect(message(result).contains("the alignment 24, which must be a power of two, at most 2^61"))
        result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = RangeAllocator(size: 100).find(-1)
        }
        #expect(message(result).contains("RangeAllocator: a request for a negative count (-1)"))
        result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            RangeAllocator(size: 100).grow(to: 99)
        }
        #expect(message(result).contains("RangeAllocator: grow(to: 99) of a space of 100"))
        result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = RangeAllocator(size: 1 << 62 + 1)
        }
        #expect(message(result).contains("which must be from 0 to 2^62"))
    }
}
