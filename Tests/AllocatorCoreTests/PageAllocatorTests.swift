// PageAllocator: random sequences against a model, every system call made to fail, misuse, alignments, guards.

import Foundation
import SystemMemory
import Testing

@testable import AllocatorCore

/// What a caller knows of its blocks: where they are and what it wrote to their ends.
private struct PageModel {
    let allocator: PageAllocator
    var generator: SeededGenerator
    var blocks: [(block: UnsafeMutableRawBufferPointer, tag: UInt8)] = []
    var total = 0
    var refusals = 0

    init(_ allocator: PageAllocator, seed: UInt64) {
        self.allocator = allocator
        generator = SeededGenerator(seed: seed)
    }

    mutating func step(largest: Int) {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<5:
            let byteCount = Int.random(in: 0...largest, using: &generator)
            let alignment = 1 << Int.random(in: 0...23, using: &generator)
            let before = allocator.statistics
            do {
                let block = try allocator.allocate(byteCount: byteCount, alignment: alignment)
                #expect(block.count == allocator.goodSize(for: byteCount, alignment: alignment))
                #expect(block.count >= byteCount && block.count % allocator.pageByteCount == 0)
                #expect(UInt(bitPattern: block.baseAddress) % UInt(alignment) == 0)
                total += 1
                enter(block)
            } catch {
                refusals += 1
                #expect(
                    error
                        == AllocationError(
                            allocator: "PageAllocator", byteCount: byteCount, alignment: alignment,
                            reason: .outOfMemory))
                #expect(allocator.statistics.liveBytes == before.liveBytes)
            }
        case 5..<8 where !blocks.isEmpty:
            let (block, tag) = blocks.remove(at: Int.random(in: 0..<blocks.count, using: &generator))
            check(block, tag)
            #expect(allocator.owns(block.baseAddress!))
            allocator.deallocate(block)
            #expect(!allocator.owns(block.baseAddress!))
        case 8..<10 where !blocks.isEmpty:
            let index = Int.random(in: 0..<blocks.count, using: &generator)
            let (block, tag) = blocks[index]
            let byteCount = Int.random(in: 0...2 * block.count, using: &generator)
            guard let resized = allocator.resize(block.baseAddress!, byteCount: byteCount) else {
                check(block, tag)
                return
            }
            #expect(resized.baseAddress == block.baseAddress)
            #expect(resized.count == allocator.goodSize(for: byteCount, alignment: 1))
            #expect(resized[0] == tag)
            blocks.remove(at: index)
            enter(resized)
        default: break
        }
    }

    private mutating func enter(_ block: UnsafeMutableRawBufferPointer) {
        let tag = UInt8.random(in: 1...255, using: &generator)
        for offset in stride(from: 0, to: block.count, by: allocator.pageByteCount) { block[offset] = tag }
        block[block.count - 1] = tag
        blocks.append((block, tag))
    }

    func check(_ block: UnsafeMutableRawBufferPointer, _ tag: UInt8) {
        for offset in stride(from: 0, to: block.count, by: allocator.pageByteCount) where block[offset] != tag {
            Issue.record("byte \(offset) of \(block) was \(block[offset]), not \(tag)")
            return
        }
        #expect(block[block.count - 1] == tag)
        #expect(allocator.byteCount(of: block.baseAddress!) == block.count)
    }

    func checkAccount() {
        let statistics = allocator.statistics
        if let broken = allocator.brokenInvariant() { Issue.record("\(broken)") }
        #expect(statistics.freeBytes == 0)
        #expect(statistics.liveBlocks == blocks.count)
        #expect(statistics.liveBytes == blocks.reduce(0) { $0 + $1.block.count })
        #expect(statistics.totalBlocks == total)
    }

    mutating func freeAll() {
        for (block, tag) in blocks {
            check(block, tag)
            allocator.deallocate(block)
        }
        blocks = []
    }
}

private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct PageAllocatorTests {
    @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
    func randomSequence(huge: Bool, guards: Bool) throws {
        let allocator = PageAllocator(hugePages: huge ? .advise : .none, guardPages: guards)
        var model = PageModel(allocator, seed: huge ? 11 : 12)
        for step in 0..<600 {
            model.step(largest: step % 50 == 0 ? 5 << 20 : 100_000)
            model.checkAccount()
        }
        #expect(model.refusals == 0)
        let leak = try #require(throws: LeakError.self) { try allocator.close() }
        #expect(leak.blocks == model.blocks.count)
        #expect(leak.bytes == allocator.statistics.liveBytes)
        model.freeAll()
        model.checkAccount()
        try allocator.close()
        #expect(allocator.statistics.heldBytes == 0)
        #expect(allocator.statistics.overheadBytes == 0)
    }

    /// In a process of its own: a plan of failures holds for every thread of a process.
    @Test(arguments: [1, 1_000_000]) func everyCallFails(count: Int) async {
        await #expect(processExitsWith: .success) { [count] in
            for guards in [false, true] {
                let allocator = PageAllocator(hugePages: .advise, guardPages: guards)
                func run() -> PageModel {
                    var model = PageModel(allocator, seed: 5)
                    model.total = allocator.statistics.totalBlocks
                    for step in 0..<60 {
                        model.step(largest: step % 10 == 0 ? 3 << 20 : 60_000)
                        model.checkAccount()
                    }
                    return model
                }
                let kinds: [Call] = [.map, .unmap, .discard, .remap, .protect, .adviseHugePages]
                FaultInjection.fail(nth: .max, of: kinds)
                var model = run()
                let calls = FaultInjection.end().calls
                model.freeAll()
                #expect(calls > 60)
                var refusals = 0
                var stranded = 0
                for nth in 1...calls {
                    FaultInjection.fail(nth: nth, count: count, of: kinds)
                    var model = run()
                    // What must be trimmed depends on where the kernel maps: a run may end a few calls earlier.
                    let plan = FaultInjection.end()
                    #expect(plan.failed > 0 || plan.calls < nth)
                    refusals += model.refusals
                    stranded += allocator.firstStranded == 0 ? 0 : 1
                    // All works again when the kernel does, and nothing was lost.
                    model.freeAll()
                    try allocator.close()
                    #expect(allocator.statistics.heldBytes == 0)
                }
                #expect(refusals > 0)
                #expect(stranded > 0)
            }
        }
    }

    /// Advice that fails is not an error.
    @Test func adviceFails() async {
        await #expect(processExitsWith: .success) {
            FaultInjection.fail(nth: 1, count: .max, of: [.adviseHugePages])
            let allocator = PageAllocator(hugePages: .advise)
            let block = try allocator.allocate(byteCount: 4 << 20, alignment: 16)
            #expect(FaultInjection.end() == (1, 1))
            #expect(UInt(bitPattern: block.baseAddress) % (2 << 20) == 0)
            allocator.deallocate(block)
        }
    }

    @Test func hugePagesAreAligned() throws {
        let allocator = PageAllocator(hugePages: .advise, guardPages: true)
        let small = try allocator.allocate(byteCount: (2 << 20) - 1, alignment: 1)
        let large = try allocator.allocate(byteCount: (2 << 20) + 1, alignment: 1)
        #expect(UInt(bitPattern: small.baseAddress) % (2 << 20) == 0)
        #expect(UInt(bitPattern: large.baseAddress) % (2 << 20) == 0)
        #expect(large.count == (2 << 20) + allocator.pageByteCount)
        allocator.freeAll()
        try allocator.close()
    }

    @Test(arguments: [false, true]) func alignments(guards: Bool) throws {
        let allocator = PageAllocator(guardPages: guards)
        for exponent in 0...30 {
            let block = try allocator.allocate(byteCount: 5000, alignment: 1 << exponent)
            #expect(UInt(bitPattern: block.baseAddress) % (1 << exponent) == 0)
            block[block.count - 1] = 1
            #expect(allocator.brokenInvariant() == nil)
        }
        // What was mapped only to align has been given back.
        let guardBytes = guards ? 2 * 31 * allocator.pageByteCount : 0
        let statistics = allocator.statistics
        #expect(statistics.overheadBytes == guardBytes + allocator.records.byteCount)
        #expect(statistics.heldBytes == statistics.liveBytes + statistics.overheadBytes)
        allocator.freeAll()
        #expect(allocator.statistics.liveBlocks == 0)
        try allocator.close()
    }

    @Test func requestsThatCannotBe() throws {
        let allocator = PageAllocator(guardPages: true)
        for byteCount in [Int.max, Int.max - 4096, Int.max - 3 * 4096, 1 << 62, 1 << 50] {
            for alignment in [1, 4096, 1 << 30] {
                #expect(allocator.tryAllocate(byteCount: byteCount, alignment: alignment) == nil)
                #expect(throws: AllocationError.self) {
                    try allocator.allocate(byteCount: byteCount, alignment: alignment)
                }
            }
        }
        #expect(allocator.tryAllocate(byteCount: 1, alignment: 1 << 62) == nil)
        let error = #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: 1, alignment: 48) }
        #expect(error?.reason == .invalidAlignment)
        #expect(allocator.statistics.totalBlocks == 0)
        #expect(allocator.brokenInvariant() == nil)
        let nothing = try allocator.allocate(byteCount: 0, alignment: 1)
        #expect(nothing.count == allocator.pageByteCount)
        allocator.deallocate(nothing)
    }

    @Test func foreignAddressesAreNotTouched() throws {
        let allocator = PageAllocator()
        let block = try allocator.allocate(byteCount: 1, alignment: 1)
        for address in [1, 8, 4096, 1 << 46, Int.max, -1, -4096] {
            #expect(!allocator.owns(UnsafeRawPointer(bitPattern: address)!))
        }
        #expect(allocator._deallocateIfOwned(block.baseAddress!))
        #expect(!allocator._deallocateIfOwned(block.baseAddress!))
    }

    @Test(arguments: [false, true]) func resizingInPlace(guards: Bool) throws {
        let allocator = PageAllocator(guardPages: guards)
        let page = allocator.pageByteCount
        var grown = 0
        // Another thread may map something behind the block between two calls.
        for _ in 0..<20 {
            let block = try allocator.allocate(byteCount: 16 * page, alignment: 1)
            block.initializeMemory(as: UInt8.self, repeating: 7)
            #expect(allocator.resize(block.baseAddress!, byteCount: 15 * page + 1)?.count == 16 * page)
            let small = try #require(allocator.resize(block.baseAddress!, byteCount: 3 * page))
            #expect(small.count == 3 * page)
            #expect(allocator.statistics.liveBytes == 3 * page)
            #expect(allocator.statistics.peakBytes == 16 * page)
            if let large = allocator.resize(block.baseAddress!, byteCount: 9 * page) {
                grown += 1
                #expect(large.count == 9 * page)
                #expect(large[3 * page - 1] == 7)
                #expect(large[3 * page] == 0)
                #expect(large[9 * page - 1] == 0)
            }
            #expect(allocator.brokenInvariant() == nil)
            #expect(allocator.resize(block.baseAddress!, byteCount: .max) == nil)
            #expect(allocator.resize(block.baseAddress!, byteCount: 1 << 60) == nil)
            let least = try #require(allocator.resize(block.baseAddress!, byteCount: 0))
            #expect(least.count == page)
            let moved = try allocator.reallocate(least, byteCount: 12 * page, alignment: 1 << 22)
            #expect(moved[0] == 7)
            allocator.deallocate(moved)
            #expect(allocator.brokenInvariant() == nil)
        }
        #expect(grown > 0)
        try allocator.close()
    }

    @Test func deinitUnmapsAll() throws {
        var bases: [UnsafeMutableRawPointer] = []
        do {
            let allocator = PageAllocator()
            for _ in 0..<20 { bases.append(try allocator.allocate(byteCount: 1 << 20, alignment: 1).baseAddress!) }
        }
        // What is not mapped cannot be given advice.
        var unmapped = 0
        for base in bases where madvise(base, 1 << 20, CInt(MADV_NORMAL)) != 0 { unmapped += 1 }
        #expect(unmapped > 10)
    }

    @Test func misuse() async {
        func expectMessage(_ result: ExitTest.Result?, _ message: String) {
            let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(text.contains(message), "\(text)")
        }
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = PageAllocator()
            let block = try allocator.allocate(byteCount: 1, alignment: 1)
            allocator.deallocate(block)
            allocator.deallocate(block)
        }
        expectMessage(twice, "is not a live block of this allocator: freed already, or foreign")
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = PageAllocator()
            allocator.deallocate(try allocator.allocate(byteCount: 1, alignment: 1).baseAddress! + 16)
        }
        expectMessage(inside, "points inside a block, not at its start")
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = PageAllocator().byteCount(of: UnsafeRawPointer(bitPattern: 4096)!)
        }
        expectMessage(foreign, "PageAllocator: 0x0000000000001000 is not a live block")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = PageAllocator().tryAllocate(byteCount: -1, alignment: 1)
        }
        expectMessage(negative, "PageAllocator: a request for a negative number of bytes (-1)")
    }

    @Test func guardPages() async {
        await #expect(processExitsWith: .failure) {
            let block = try PageAllocatorTests.kept.allocate(byteCount: 1, alignment: 1)
            block.baseAddress!.storeBytes(of: 1, toByteOffset: block.count, as: UInt8.self)
        }
        await #expect(processExitsWith: .failure) {
            let block = try PageAllocatorTests.kept.allocate(byteCount: 1, alignment: 1)
            block.baseAddress!.storeBytes(of: 1, toByteOffset: -1, as: UInt8.self)
        }
        await #expect(processExitsWith: .failure) {
            let block = try PageAllocatorTests.kept.allocate(byteCount: 1 << 16, alignment: 1)
            let small = PageAllocatorTests.kept.resize(block.baseAddress!, byteCount: 1)!
            small.baseAddress!.storeBytes(of: 1, toByteOffset: small.count, as: UInt8.self)
        }
    }

    nonisolated(unsafe) private static let kept = PageAllocator(guardPages: true)
}
