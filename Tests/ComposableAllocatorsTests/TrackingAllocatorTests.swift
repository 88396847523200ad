// TrackingAllocator: places by file and line or by function, leaks grouped, sequences recorded, misuse told with the
// place, random sequences against a model over several upstreams.

import AllocatorCore
import AllocatorTestKit
import Foundation
import Testing

@testable import ComposableAllocators

// Callers that know the allocator only by its protocol; not inlined, so that they have names.
@inline(never) private func genericCaller<A: Allocator>(_ allocator: A) throws -> UnsafeMutableRawBufferPointer {
    try allocator.allocate(byteCount: 48, alignment: 8)
}
@inline(never) private func existentialCaller(_ allocator: any Allocator) throws -> UnsafeMutableRawBufferPointer {
    try allocator.allocate(byteCount: 48, alignment: 8)
}
@inline(never) private func typedGenericCaller<A: Allocator>(_ allocator: A) throws -> UnsafeMutableBufferPointer<Int> {
    try allocator.allocate(copying: [1, 2, 3])
}

@Suite struct TrackingAllocatorTests {
    private static let file = "ComposableAllocatorsTests/TrackingAllocatorTests.swift"

    @Test func directCallsAreKnownByFileAndLine() throws {
        let allocator = TrackingAllocator()
        let line = #line + 1
        _ = try allocator.allocate(byteCount: 10, alignment: 1)
        _ = try allocator.allocate(byteCount: 20)
        _ = try allocator.allocate(Int.self, count: 3)
        _ = try allocator.allocate(initializingTo: 7)
        _ = try allocator.allocate(repeating: UInt8(1), count: 5)
        _ = try allocator.allocate(copying: [1, 2])
        _ = allocator.tryAllocate(byteCount: 6, alignment: 2)
        let blocks = allocator.liveBlocks
        #expect(blocks.map(\.location) == (0..<7).map { "\(Self.file):\(line + $0)" })
        #expect(blocks.map(\.number) == Array(1...7))
        #expect(blocks.map(\.requestedByteCount) == [10, 20, 24, 8, 5, 16, 6])
        #expect(blocks.allSatisfy { $0.stack.isEmpty && $0.memory.count >= $0.requestedByteCount })
        #expect(blocks[3].memory.load(as: Int.self) == 7)
        allocator.freeAll()
        try allocator.close()
    }

    @Test func leaksAreGroupedByPlace() throws {
        let allocator = TrackingAllocator()
        let first = #line + 2
        for _ in 0..<3 {
            _ = try allocator.allocate(byteCount: 100)
        }
        let second = #line + 1
        _ = try allocator.allocate(byteCount: 1000)
        let leak = try #require(throws: LeakError.self) { try allocator.close() }
        #expect(
            leak
                == LeakError(
                    allocator: "TrackingAllocator", blocks: 4, bytes: 1300,
                    sites: [
                        LeakError.Site(location: "\(Self.file):\(second)", blocks: 1, bytes: 1000),
                        LeakError.Site(location: "\(Self.file):\(first)", blocks: 3, bytes: 300),
                    ]))
        #expect(
            "\(leak)" == """
                TrackingAllocator: 4 blocks of 1300 bytes in all still live
                    1 block of 1000 bytes from \(Self.file):\(second)
                    3 blocks of 300 bytes in all from \(Self.file):\(first)
                """)
        // Nothing was freed.
        #expect(allocator.statistics.liveBlocks == 4)
        #expect(allocator.report().contains("live 4 blocks, 1300 bytes;"))
        #expect(allocator.report().contains("\n    3 blocks of 300 bytes in all from \(Self.file):\(first)"))
        allocator.freeAll()
        try allocator.close()
        #expect(!allocator.report().contains("from"))
    }

    #if canImport(Glibc) || canImport(Darwin)
        @Test func otherCallsAreKnownByTheFunction() throws {
            let allocator = TrackingAllocator()
            _ = try genericCaller(allocator)
            _ = try existentialCaller(allocator)
            _ = try typedGenericCaller(allocator)
            let places = allocator.liveBlocks.map(\.location)
            #expect(places[0].contains("genericCaller"), "\(places)")
            #expect(places[1].contains("existentialCaller"), "\(places)")
            #expect(places[2].contains("typedGenericCaller"), "\(places)")
            #expect(allocator.findLeaks()?.sites.count == 3)
            allocator.freeAll()
        }

        @Test func stacks() throws {
            let allocator = try TrackingAllocator(stackDepth: 5)
            let line = #line + 1
            _ = try allocator.allocate(byteCount: 10)
            _ = try existentialCaller(allocator)
            let blocks = allocator.liveBlocks
            #expect(blocks[0].location == "\(Self.file):\(line)")
            #expect(blocks[0].stack.count == 5)
            #expect(blocks[0].stack.first?.contains("stacks()") == true, "\(blocks[0].stack)")
            #expect(blocks[1].stack.first?.contains("existentialCaller") == true, "\(blocks[1].stack)")
            #expect(blocks[1].stack.dropFirst().first?.contains("stacks()") == true, "\(blocks[1].stack)")
            let leak = try #require(allocator.findLeaks())
            #expect("\(leak)".contains("\n        \(blocks[0].stack[0])"))
            allocator.freeAll()
        }
    #endif

    @Test func sequencesAreRecorded() throws {
        let allocator = TrackingAllocator(upstream: SystemAllocator(), recordsOperations: true)
        let one = try allocator.allocate(byteCount: 100, alignment: 8)
        let two = try allocator.allocate(byteCount: 200, alignment: 64)
        allocator.deallocate(one)
        #expect(allocator.tryAllocate(byteCount: .max, alignment: 8) == nil)
        #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: .max - 64, alignment: 16) }
        #expect(allocator.resize(two.baseAddress!, byteCount: 190)?.count == 190)
        allocator.freeAll()
        #expect(
            allocator.operations == [
                .allocate(block: 1, byteCount: 100, alignment: 8), .allocate(block: 2, byteCount: 200, alignment: 64),
                .deallocate(block: 1), .refuse(byteCount: .max, alignment: 8),
                .refuse(byteCount: .max - 64, alignment: 16), .resize(block: 2, byteCount: 190), .freeAll,
            ])
        let silent = TrackingAllocator()
        silent.deallocate(try silent.allocate(byteCount: 1))
        #expect(silent.operations.isEmpty)
    }

    private func run<A: Allocator>(over upstream: A, seed: UInt64, largest: Int) throws {
        let allocator = TrackingAllocator(upstream: upstream)
        var random = SeededRandom(seed: seed)
        var blocks: [(block: UnsafeMutableRawBufferPointer, tag: UInt8)] = []
        var refusals = 0
        var total = 0
        for _ in 0..<1500 {
            if blocks.isEmpty || Int.random(in: 0...4, using: &random) < 3 {
                let byteCount = Int.random(in: 0...largest, using: &random)
                let block = allocator.tryAllocate(byteCount: byteCount, alignment: 8)
                guard let block else {
                    refusals += 1
                    continue
                }
                total += 1
                let tag = UInt8.random(in: 0...255, using: &random)
                block.initializeMemory(as: UInt8.self, repeating: tag)
                #expect(block.count >= byteCount && allocator.owns(block.baseAddress!))
                blocks.append((block, tag))
            } else {
                let (block, tag) = blocks.remove(at: Int.random(in: 0..<blocks.count, using: &random))
                #expect(block.allSatisfy { $0 == tag })
                #expect(allocator.byteCount(of: block.baseAddress!) == block.count)
                allocator.deallocate(block)
                #expect(!allocator.owns(block.baseAddress!))
            }
            let statistics = allocator.statistics
            if let broken = allocator.brokenInvariant() { Issue.record("\(broken)") }
            #expect(statistics.liveBlocks == blocks.count && statistics.totalBlocks == total)
            #expect(statistics.liveBytes == blocks.reduce(0) { $0 + $1.block.count })
            #expect(statistics.freeBytes == 0)
        }
        #expect(
            Set(allocator.liveBlocks.map(\.memory.baseAddress)) == Set(blocks.map(\.block.baseAddress)))
        #expect(throws: LeakError.self) { try allocator.close() }
        allocator.freeAll()
        try allocator.close()
        try upstream.close()
        #expect(refusals == 0 || largest > 64)
    }

    @Test func randomSequences() throws {
        try run(over: SystemAllocator(), seed: 1, largest: 300)
        try run(over: PageAllocator(), seed: 2, largest: 9000)
        try run(over: GuardAllocator(), seed: 3, largest: 9000)
        try run(over: FixedBlockAllocator(blockSize: 64), seed: 4, largest: 100)
        try run(over: AnyAllocator(TrackingAllocator()), seed: 5, largest: 64)
    }

    @Test func deinitFreesUpstream() throws {
        let upstream = TrackingAllocator()
        do {
            let allocator = TrackingAllocator(upstream: upstream)
            for _ in 0..<10 { _ = try allocator.allocate(byteCount: 10) }
            #expect(upstream.statistics.liveBlocks == 10)
        }
        try upstream.close()
    }

    @Test func configuration() {
        for depth in [-1, 257] {
            let error = #expect(throws: ConfigurationError.self) { try TrackingAllocator(stackDepth: depth) }
            #expect(error?.argument == "stackDepth")
            #expect(error?.value == depth)
        }
    }

    @Test func misuse() async {
        func expectMessage(_ result: ExitTest.Result?, _ message: String) {
            let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            #expect(text.contains(message), "\(text)")
        }
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = TrackingAllocator()
            let block = try allocator.allocate(byteCount: 3, file: "Module/Place.swift", line: 12)
            allocator.deallocate(block)
            allocator.deallocate(block)
        }
        expectMessage(twice, "was freed already; it was allocated at Module/Place.swift:12")
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = TrackingAllocator()
            let block = try allocator.allocate(byteCount: 300, file: "Module/Place.swift", line: 12)
            allocator.deallocate(block.baseAddress! + 8)
        }
        expectMessage(inside, "points 8 bytes inside a block of 300, allocated at Module/Place.swift:12")
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = TrackingAllocator()
            let other = try SystemAllocator().allocate(byteCount: 8)
            allocator.deallocate(other)
        }
        expectMessage(foreign, "is not a block of this allocator")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try TrackingAllocator().allocate(byteCount: -1)
        }
        expectMessage(negative, "TrackingAllocator: a request for a negative number of bytes (-1)")
        // -(2^60) values of 16 bytes: the product wraps to 0.
        let wrapping = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try TrackingAllocator().allocate((Int, Int).self, count: -(1 << 60))
        }
        expectMessage(wrapping, "TrackingAllocator: a request for a negative number of bytes")
    }

    @Test func manyFreesAreForgotten() throws {
        let allocator = TrackingAllocator()
        let blocks = try (0..<3000).map { _ in try allocator.allocate(byteCount: 16) }
        for block in blocks { allocator.deallocate(block) }
        #expect(allocator.freed.count <= TrackingAllocator<SystemAllocator>.rememberedFrees)
        #expect(allocator.freed[UInt(bitPattern: blocks[2999].baseAddress)]?.number == 3000)
        #expect(allocator.brokenInvariant() == nil)
    }

    @Test func conformance() throws {
        try checkAllocator(sequences: 4) { TrackingAllocator() }
        try checkAllocator(sequences: 4) { TrackingAllocator(upstream: PageAllocator(), recordsOperations: true) }
        try checkAllocator(sequences: 4) { TrackingAllocator(upstream: try FixedBlockAllocator(blockSize: 64)) }
        try checkAllocator(sequences: 4, steps: 100) {
            TrackingAllocator(upstream: TrackingAllocator(upstream: GuardAllocator()))
        }
    }
}
