// GuardAllocator: wrong accesses end the program at the instruction, misuse traps, the account adds up, system calls
// fail.

import AllocatorCore
import AllocatorTestKit
import Foundation
import SystemMemory
import Testing

@testable import ComposableAllocators

@Suite struct GuardAllocatorTests {
    /// The address sanitizer reports a signal and exits in its own way.
    private static let crash: ExitTest.Condition =
        dlsym(dlopen(nil, RTLD_NOW), "__asan_init") == nil ? .signal(SIGSEGV) : .failure
    nonisolated(unsafe) private static var sink: UInt8 = 0
    // In variables that live on, so that no deinit unmaps before the access.
    nonisolated(unsafe) private static let ofOverrun = GuardAllocator(catching: .overrun)
    nonisolated(unsafe) private static let ofUnderrun = GuardAllocator(catching: .underrun)

    @Test(arguments: [0, 1, 7, 100, 4096, 5000]) func overrunCrashes(byteCount: Int) async {
        await #expect(processExitsWith: Self.crash) { [byteCount] in
            let block = try Self.ofOverrun.allocate(byteCount: byteCount, alignment: 1)
            block.initializeMemory(as: UInt8.self, repeating: 1)
            Self.sink = block.baseAddress!.load(fromByteOffset: byteCount, as: UInt8.self)
        }
        await #expect(processExitsWith: Self.crash) { [byteCount] in
            let block = try Self.ofOverrun.allocate(byteCount: byteCount, alignment: 1)
            block.baseAddress!.storeBytes(of: 1, toByteOffset: byteCount, as: UInt8.self)
        }
    }

    @Test(arguments: [0, 1, 100, 4096, 5000], [1, 64, 1 << 20]) func underrunCrashes(byteCount: Int, alignment: Int)
        async
    {
        await #expect(processExitsWith: Self.crash) { [byteCount, alignment] in
            let block = try Self.ofUnderrun.allocate(byteCount: byteCount, alignment: alignment)
            block.initializeMemory(as: UInt8.self, repeating: 1)
            Self.sink = block.baseAddress!.load(fromByteOffset: -1, as: UInt8.self)
        }
    }

    @Test func zeroBytesCrashAtFirstTouch() async {
        await #expect(processExitsWith: Self.crash) {
            let block = try Self.ofUnderrun.allocate(byteCount: 0, alignment: 8)
            Self.sink = block.baseAddress!.load(as: UInt8.self)
        }
    }

    @Test func useAfterFreeCrashes() async {
        await #expect(processExitsWith: Self.crash) {
            let block = try Self.ofOverrun.allocate(byteCount: 100, alignment: 8)
            Self.ofOverrun.deallocate(block)
            // Other blocks don't get its addresses.
            for _ in 0..<100 { _ = try Self.ofOverrun.allocate(byteCount: 100, alignment: 8) }
            Self.sink = block.baseAddress!.load(as: UInt8.self)
        }
        await #expect(processExitsWith: Self.crash) {
            let block = try Self.ofUnderrun.allocate(byteCount: 100, alignment: 8)
            Self.ofUnderrun.deallocate(block)
            block.baseAddress!.storeBytes(of: 1, as: UInt8.self)
        }
    }

    @Test func misuse() async {
        func expectMessage(_ result: ExitTest.Result?, _ message: String) {
            let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(text.contains(message), "\(text)")
        }
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let block = try Self.ofOverrun.allocate(byteCount: 3, alignment: 1)
            Self.ofOverrun.deallocate(block)
            Self.ofOverrun.deallocate(block)
        }
        expectMessage(twice, "was freed already")
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            Self.ofOverrun.deallocate(UnsafeMutableRawPointer(bitPattern: 64)!)
        }
        expectMessage(foreign, "GuardAllocator: 0x0000000000000040 is not a block of this allocator")
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let block = try Self.ofOverrun.allocate(byteCount: 3, alignment: 1)
            Self.ofOverrun.deallocate(block.baseAddress! + 1)
        }
        expectMessage(inside, "points inside a block, not at its start")
        // Into the bytes that the alignment leaves.
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let block = try Self.ofOverrun.allocate(byteCount: 13, alignment: 8)
            block.baseAddress!.storeBytes(of: 1, toByteOffset: 13, as: UInt8.self)
            Self.ofOverrun.deallocate(block)
        }
        expectMessage(beyond, "was written beyond its end")
        let before = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let block = try Self.ofOverrun.allocate(byteCount: 13, alignment: 8)
            block.baseAddress!.storeBytes(of: 1, toByteOffset: -1, as: UInt8.self)
            Self.ofOverrun.deallocate(block)
        }
        expectMessage(before, "was written before its start")
        let behind = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let block = try Self.ofUnderrun.allocate(byteCount: 13, alignment: 8)
            block.baseAddress!.storeBytes(of: 1, toByteOffset: 4000, as: UInt8.self)
            Self.ofUnderrun.deallocate(block)
        }
        expectMessage(behind, "was written beyond its end")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Self.ofUnderrun.tryAllocate(byteCount: -1, alignment: 1)
        }
        expectMessage(negative, "GuardAllocator: a request for a negative number of bytes (-1)")
    }

    /// Steps against a model: every block keeps what was written to all its bytes.
    private static func run(_ allocator: GuardAllocator, seed: UInt64, steps: Int) throws -> Int {
        var random = SeededRandom(seed: seed)
        var blocks: [(block: UnsafeMutableRawBufferPointer, tag: UInt8)] = []
        var refusals = 0
        func free(_ index: Int) {
            let (block, tag) = blocks.remove(at: index)
            #expect(block.allSatisfy { $0 == tag })
            #expect(allocator.byteCount(of: block.baseAddress!) == block.count)
            allocator.deallocate(block)
            #expect(!allocator.owns(block.baseAddress!))
        }
        for _ in 0..<steps {
            if Bool.random(using: &random) || blocks.isEmpty {
                let byteCount = Int.random(
                    in: 0...(Int.random(in: 0...20, using: &random) == 0 ? 100_000 : 300), using: &random)
                let alignment = 1 << Int.random(in: 0...16, using: &random)
                guard let block = allocator.tryAllocate(byteCount: byteCount, alignment: alignment) else {
                    refusals += 1
                    continue
                }
                #expect(block.count == byteCount)
                #expect(UInt(bitPattern: block.baseAddress) % UInt(alignment) == 0)
                #expect(allocator.owns(block.baseAddress!))
                let tag = UInt8.random(in: 0...255, using: &random)
                block.initializeMemory(as: UInt8.self, repeating: tag)
                blocks.append((block, tag))
            } else {
                free(Int.random(in: 0..<blocks.count, using: &random))
            }
            if let broken = allocator.brokenInvariant() { Issue.record("\(broken)") }
            #expect(allocator.statistics.liveBlocks == blocks.count)
            #expect(allocator.statistics.liveBytes == blocks.reduce(0) { $0 + $1.block.count })
            #expect(allocator.statistics.freeBytes == 0)
            #expect(allocator.quarantined <= allocator.quarantineByteCount || refusals > 0)
        }
        if !blocks.isEmpty {
            let leak = #expect(throws: LeakError.self) { try allocator.close() }
            #expect(leak?.blocks == blocks.count)
        }
        while !blocks.isEmpty { free(0) }
        return refusals
    }

    @Test(arguments: [0, 100_000, 1 << 30]) func randomSequence(quarantine: Int) throws {
        for side in [GuardAllocator.Side.overrun, .underrun] {
            let allocator = try GuardAllocator(catching: side, quarantineByteCount: quarantine)
            #expect(try Self.run(allocator, seed: 3, steps: 500) == 0)
            #expect(allocator.statistics.liveBytes == 0)
            try allocator.close()
            #expect(allocator.statistics.heldBytes == 0)
        }
    }

    /// In a process of its own: a plan of failures holds for every thread of a process.
    @Test(arguments: [1, 1_000_000]) func everyCallFails(count: Int) async {
        await #expect(processExitsWith: .success) { [count] in
            let kinds: [Call] = [.map, .unmap, .discard, .protect]
            let allocator = try GuardAllocator(catching: .overrun, quarantineByteCount: 100_000)
            FaultInjection.fail(nth: .max, of: kinds)
            #expect(try Self.run(allocator, seed: 9, steps: 60) == 0)
            let calls = FaultInjection.end().calls
            #expect(calls > 100)
            var refusals = 0
            for nth in 1...calls {
                FaultInjection.fail(nth: nth, count: count, of: kinds)
                // Where an unmapping fails the quarantine is over its limit for a while.
                let (found, failed) = Self.runCountingFailures(allocator)
                refusals += found
                #expect(failed > 0)
                try allocator.close()
                #expect(allocator.statistics.heldBytes == 0)
            }
            #expect(refusals > 0)
        }
    }

    private static func runCountingFailures(_ allocator: GuardAllocator) -> (refusals: Int, failed: Int) {
        var random = SeededRandom(seed: 9)
        var blocks: [UnsafeMutableRawBufferPointer] = []
        var refusals = 0
        for _ in 0..<80 {
            if blocks.isEmpty || Int.random(in: 0...2, using: &random) > 0 {
                let byteCount = Int.random(in: 0...9000, using: &random)
                do throws(AllocationError) {
                    let block = try allocator.allocate(
                        byteCount: byteCount, alignment: 1 << Int.random(in: 0...14, using: &random))
                    block.initializeMemory(as: UInt8.self, repeating: 1)
                    blocks.append(block)
                } catch {
                    #expect(error.reason == .outOfMemory)
                    refusals += 1
                }
            } else {
                let block = blocks.remove(at: Int.random(in: 0..<blocks.count, using: &random))
                #expect(block.allSatisfy { $0 == 1 })
                allocator.deallocate(block)
            }
            if let broken = allocator.brokenInvariant() { Issue.record("\(broken)") }
        }
        let failed = FaultInjection.end().failed
        for block in blocks {
            #expect(block.allSatisfy { $0 == 1 })
            allocator.deallocate(block)
        }
        return (refusals, failed)
    }

    @Test func requestsThatCannotBe() throws {
        let allocator = GuardAllocator()
        for byteCount in [Int.max, Int.max - 4096, Int.max - 8192, 1 << 62, 1 << 50] {
            let error = #expect(throws: AllocationError.self) {
                try allocator.allocate(byteCount: byteCount, alignment: 8)
            }
            #expect(error?.reason == .outOfMemory)
        }
        #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: 8, alignment: 24) }
        let large = try allocator.allocate(byteCount: 100, alignment: 64 << 20)
        #expect(UInt(bitPattern: large.baseAddress) % (64 << 20) == 0)
        allocator.freeAll()
        #expect(allocator.statistics.liveBlocks == 0)
        try allocator.close()
        let wrong = #expect(throws: ConfigurationError.self) { try GuardAllocator(quarantineByteCount: -1) }
        #expect(wrong?.argument == "quarantineByteCount")
    }

    @Test(arguments: [1, 2] as [UInt64]) func conformance(seed: UInt64) throws {
        try checkAllocator(seed: seed) { GuardAllocator() }
        try checkAllocator(seed: seed) { try GuardAllocator(catching: .underrun, quarantineByteCount: 50_000) }
    }
}
