// The system's malloc as an allocator, as itself, as an existential and behind AnyAllocator.

import AllocatorCore
import AllocatorTestKit
import Testing

@Suite struct SystemAllocatorTests {
    @Test(arguments: [1 << 6, 1 << 13, 1 << 18]) func keepsTheContract(maximumByteCount: Int) throws {
        try checkAllocator(
            seed: UInt64(maximumByteCount), steps: 200, maximumByteCount: maximumByteCount, maximumAlignment: 1 << 16
        ) { SystemAllocator() }
    }

    @Test func keepsTheContractAmongThreads() throws {
        try checkSharedAllocator { SystemAllocator() }
    }

    @Test func countIsWhatWasAskedFor() throws {
        for byteCount in [0, 1, 7, 8, 100, 5000] {
            let block = try SystemAllocator().allocate(byteCount: byteCount)
            #expect(block.count == byteCount)
            #expect(SystemAllocator().byteCount(of: block.baseAddress!) >= byteCount)
            SystemAllocator().deallocate(block)
        }
    }

    @Test func resizesOnlyWithinWhatMallocGave() throws {
        let block = try SystemAllocator().allocate(byteCount: 1000)
        let base = try #require(block.baseAddress)
        let usable = SystemAllocator().byteCount(of: base)
        #expect(SystemAllocator().resize(base, byteCount: usable)?.count == usable)
        #expect(SystemAllocator().resize(base, byteCount: usable + 1) == nil)
        #expect(SystemAllocator().resize(base, byteCount: usable / 2)?.count == usable / 2)
        #expect(SystemAllocator().resize(base, byteCount: usable / 2 - 1) == nil)
        #expect(SystemAllocator().resize(base, byteCount: .max) == nil)
        SystemAllocator().deallocate(block)
    }

    @Test func refusalsSayWhy() {
        let noAlignment = #expect(throws: AllocationError.self) {
            try SystemAllocator().allocate(byteCount: 8, alignment: 24)
        }
        #expect(noAlignment?.reason == .invalidAlignment)
        #expect(noAlignment?.allocator == "SystemAllocator")
        #expect(noAlignment?.byteCount == 8)
        #expect(noAlignment?.alignment == 24)
        let noMemory = #expect(throws: AllocationError.self) {
            try SystemAllocator().allocate(byteCount: .max - 15, alignment: 64)
        }
        #expect(noMemory?.reason == .outOfMemory)
    }

    @Test func negativeSizesTrap() async {
        let ask = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = SystemAllocator().tryAllocate(byteCount: -1, alignment: 8)
        }
        #expect(
            (ask?.standardErrorContent).map { String(decoding: $0, as: UTF8.self) }?
                .contains("SystemAllocator: a request for a negative number of bytes (-1)") == true)
        await #expect(processExitsWith: .failure) {
            let block = try SystemAllocator().allocate(byteCount: 8)
            _ = SystemAllocator().resize(block.baseAddress!, byteCount: -8)
        }
    }

    @Test func nothingIsKnownOfLeaks() throws {
        let block = try SystemAllocator().allocate(byteCount: 8)
        #expect(SystemAllocator().findLeaks() == nil)
        try SystemAllocator().close()
        SystemAllocator().deallocate(block)
    }

    @Test func defaultAlignments() {
        #expect([0, 1, 2, 3, 4, 7, 8, 9, 4096].map { defaultAlignment(for: $0) } == [1, 1, 2, 2, 4, 4, 8, 8, 8])
    }
}

@Suite struct AnyAllocatorTests {
    @Test func keepsTheContract() throws {
        try checkAllocator { AnyAllocator(SystemAllocator()) }
        try checkAllocator { AnyAllocator(FailingAllocator(plan: .byteLimit(50_000))) }
        try checkAllocator { AnyAllocator(AnyAllocator(RecordingAllocator())) }
    }

    @Test func passesOnWhatCombinatorsAsk() throws {
        let base = RecordingAllocator()
        let any = AnyAllocator(base)
        #expect(any._tellsOwn)
        #expect(any._tellsSizes)
        let block = try any.allocate(byteCount: 40, alignment: 8)
        let other = try SystemAllocator().allocate(byteCount: 40)
        #expect(any._owns(block.baseAddress!))
        #expect(!any._owns(other.baseAddress!))
        #expect(any._byteCount(of: block.baseAddress!) == 40)
        #expect(any.findLeaks() == LeakError(allocator: "RecordingAllocator", blocks: 1, bytes: 40))
        #expect(throws: LeakError.self) { try any.close() }
        #expect(!any._deallocateIfOwned(other.baseAddress!))
        #expect(any._deallocateIfOwned(block.baseAddress!))
        #expect(any.findLeaks() == nil)
        try any.close()
        SystemAllocator().deallocate(other)

        #expect(!AnyAllocator(SystemAllocator())._tellsOwn)
        #expect(AnyAllocator(SystemAllocator())._tellsSizes)
    }
}
