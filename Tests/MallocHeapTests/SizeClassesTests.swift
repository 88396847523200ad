// The promises about sizes: exact where it was promised, never more than an eighth too much, and consistent both ways.

import MallocHeap
import Testing

@Suite struct SizeClassesTests {
    @Test func sizesGrowFromClassToClass() {
        for index in 1..<SizeClasses.count {
            #expect(SizeClasses.byteCount(of: index) > SizeClasses.byteCount(of: index - 1))
        }
        #expect(SizeClasses.byteCount(of: SizeClasses.count - 1) == 32 << 10)
    }

    @Test func everySizeGetsTheSmallestClassThatHoldsIt() {
        for byteCount in UInt(0)...(32 << 10) {
            let index = SizeClasses.sizeClass(for: byteCount)
            let granted = SizeClasses.byteCount(of: index)
            if granted < byteCount { Issue.record("\(byteCount) bytes got \(granted)") }
            if index > 0, SizeClasses.byteCount(of: index - 1) >= byteCount {
                Issue.record("\(byteCount): not the smallest")
            }
        }
    }

    @Test func eightAndTheMultiplesOfSixteenAreExact() {
        #expect(SizeClasses.byteCount(of: SizeClasses.sizeClass(for: 8)) == 8)
        for byteCount in stride(from: UInt(16), through: 256, by: 16) {
            #expect(SizeClasses.byteCount(of: SizeClasses.sizeClass(for: byteCount)) == byteCount)
        }
    }

    @Test func aboveThatAtMostAnEighthIsWasted() {
        for byteCount in UInt(257)...(32 << 10) {
            let granted = SizeClasses.byteCount(of: SizeClasses.sizeClass(for: byteCount))
            if (granted - byteCount) * 8 > byteCount { Issue.record("\(byteCount) bytes got \(granted)") }
        }
        for byteCount in stride(from: UInt(32 << 10) + 1, to: 40 << 20, by: 77_777) {
            let granted = Malloc.goodSize(byteCount)
            if (granted - byteCount) * 8 > byteCount { Issue.record("\(byteCount) bytes got \(granted)") }
        }
    }

    @Test func everyClassFromSixteenBytesOnKeepsAlignment() {
        for index in 1..<SizeClasses.count { #expect(SizeClasses.byteCount(of: index) % 16 == 0) }
    }

    @Test func goodSizeIsWhatABlockHolds() {
        for byteCount in [0, 1, 8, 9, 24, 100, 1000, 1025, 5000, 32768, 32769, 100_000, 17 << 20] as [UInt] {
            let block = Malloc.allocate(byteCount)
            #expect(Malloc.usableSize(block) == Malloc.goodSize(byteCount))
            Malloc.deallocate(block)
        }
    }
}
