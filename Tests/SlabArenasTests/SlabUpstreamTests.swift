// Slab arenas over upstreams of many kinds: what they refuse, where their blocks lie, and what lies beside them.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabUpstreamTests {
    /// The base of the slab that a chunk lies in.
    private func slab(_ arena: SlabArena, of pointer: UnsafeRawPointer) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: pointer) & arena.baseMask)!
    }

    /// A slab of 4112 bytes is aligned to 8192, and its block ends before the next multiple of that: what follows may
    /// be anybody's.
    @Test func whatLiesBehindASlabIsForeign() throws {
        let arena = try SlabArena(startChunkSize: 1024, slabSize: 4112, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 1000)
        let base = slab(arena, of: chunk.baseAddress!)
        // The end of the last chunk, the header, and far behind the block: nothing of it is read.
        for offset in [4096, 4111, 4112, 4300, 8000, 8191] {
            #expect(!arena.owns(base + offset))
            #expect(!arena._deallocateIfOwned(base + offset))
            #expect(arena.location(of: UnsafeMutableRawBufferPointer(start: base + offset, count: 1)).isNil)
        }
        arena.release(chunk)
        try arena.close()
    }

    /// The same by a combinator: malloc puts its own blocks behind the slab.
    @Test func aFallbackFreesWhatLiesBehindASlab() throws {
        let arena = try SlabArena(startChunkSize: 1024, slabSize: 4112, growthFactor: 2, upstream: SystemAllocator())
        let both = FallbackAllocator(primary: arena, secondary: SystemAllocator())
        var blocks: [UnsafeMutableRawBufferPointer] = []
        for step in 0..<400 {
            blocks.append(try both.allocate(byteCount: step % 4 == 0 ? 1024 : 5000 + step, alignment: 8))
            if step % 4 != 0 { blocks.append(try SystemAllocator().allocate(byteCount: 40, alignment: 8)) }
        }
        for block in blocks { both.deallocate(block) }
        arena.checkInvariants()
        try both.close()
    }

    /// Nothing is written behind what an upstream gave that does not keep the contract.
    @Test(arguments: [(8, 0), (0, 1)]) func anUpstreamThatGivesLessTraps(offset: Int, missing: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [offset, missing] in
            let arena = try SlabArena(slabSize: 4096, upstream: WrongUpstream(offset: offset, missing: missing))
            _ = try arena.allocateChunk(byteCount: 10)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains("is what upstream gave for a slab: too small, or not aligned as it was asked for"), "\(text)")
    }

    // MARK: - Blocks that are not as they were wished for

    /// An upstream without the slab's alignment is asked for more, and the slab lies where it fits.
    @Test(arguments: [1, 2, 8, 16, 64, 1024, 4096, 8192])
    func anUpstreamMayOfferLessAlignment(limit: Int) throws {
        for slabSize in [1, 24, 1000, 4096, 5000, 8192] {
            let upstream = PoorUpstream(largestAlignment: limit)
            let arena = try SlabArena(
                startChunkSize: 1, slabSize: slabSize, growthFactor: 3, alignment: 1, upstream: upstream)
            var chunks: [UnsafeMutableRawBufferPointer] = []
            for size in arena.chunkSizes {
                for _ in 0..<20 {
                    let chunk = try arena.allocateChunk(byteCount: size)
                    chunk.initializeMemory(as: UInt8.self, repeating: UInt8(size % 251))
                    chunks.append(chunk)
                    let start = UInt(bitPattern: slab(arena, of: chunk.baseAddress!))
                    let header = SlabReference(bitPattern: start + arena.headerOffset)!
                    let block = try #require(upstream.live[header.pointee.block])
                    let end =
                        start
                        + UInt(
                            SlabHeader.blockByteCount(
                                headerOffset: Int(arena.headerOffset), chunkCount: Int(header.pointee.chunkCount)))
                    #expect(start >= UInt(bitPattern: header.pointee.block))
                    #expect(end <= UInt(bitPattern: header.pointee.block) + UInt(block))
                }
            }
            arena.checkInvariants()
            #expect(arena.blockBytes == upstream.live.values.reduce(0, +))
            for chunk in chunks {
                #expect(chunk.allSatisfy { $0 == UInt8(chunk.count % 251) })
                arena.release(chunk)
            }
            try arena.close()
            #expect(upstream.live.isEmpty)
        }
    }

    /// What an upstream gives beyond a slab is held, and is overhead.
    @Test(arguments: [1, 1000, 100_000]) func blocksMayBeLarger(granularity: Int) throws {
        let upstream = PoorUpstream(granularity: granularity)
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: upstream)
        let chunks = try (0..<200).map { try arena.allocateChunk(byteCount: $0) }
        let account = arena.statistics
        #expect(arena.blockBytes == upstream.live.values.reduce(0, +))
        #expect(upstream.live.values.allSatisfy { $0 % granularity == 0 })
        #expect(account.liveBytes + account.freeBytes + account.overheadBytes == account.heldBytes)
        #expect(account.freeBytes == arena.slabStatistics.classes.reduce(0) { $0 + $1.bytesFree })
        #expect(account.overheadBytes >= arena.blockBytes - arena.slabStatistics.slabs * 4096)
        arena.checkInvariants()
        for chunk in chunks { arena.release(chunk) }
        try arena.close()
        #expect(upstream.live.isEmpty)
    }

    /// The lowest addresses that a process can have: below them, a base would be 0.
    @Test(.enabled(if: LowUpstream.isPossible)) func slabsNearAddressZero() throws {
        let upstream = try #require(LowUpstream())
        for (slabSize, limit) in [(4096, nil), (1 << 16, nil), (1 << 17, 16), (1 << 18, 4096)] as [(Int, Int?)] {
            upstream.largestAlignment = limit ?? 1 << 16
            let arena = try SlabArena(startChunkSize: 1024, slabSize: slabSize, growthFactor: 8, upstream: upstream)
            let chunks = try (0..<10).map { _ in try arena.allocateChunk(byteCount: 1000) }
            for chunk in chunks {
                chunk.initializeMemory(as: UInt8.self, repeating: 1)
                #expect(UInt(bitPattern: chunk.baseAddress) < 1 << 20)
                #expect(!arena.location(of: chunk).isNil && arena.referenceCount(of: chunk.baseAddress!) == 1)
            }
            for bits in [1, 8, 4095, 4096, 32768] as [UInt] {
                #expect(!arena.owns(UnsafeRawPointer(bitPattern: bits)!))
            }
            arena.checkInvariants()
            for chunk in chunks { arena.release(chunk) }
            try arena.close()
        }
    }

    // MARK: - Refusals

    /// The story that is told with each of its requests to upstream refused.
    private func tell(_ arena: SlabArena, _ upstream: FailingAllocator<SystemAllocator>) throws -> Int {
        var (live, refusals): ([(UnsafeMutableRawBufferPointer, UInt8)], Int) = ([], 0)
        func attempt(_ body: () throws -> Void) throws {
            let (before, account) = (arena.slabStatistics, arena.statistics)
            do { try body() } catch let error as AllocationError {
                #expect(error.reason == .outOfMemory)
                refusals += 1
                let (after, accountAfter) = (arena.slabStatistics, arena.statistics)
                // Once more for each empty slab that went back.
                #expect(after.slabAllocationFailures > before.slabAllocationFailures)
                #expect(after.allocations == before.allocations && after.releasesToZero == before.releasesToZero)
                #expect(after.bytesRequested == before.bytesRequested && after.bytesGranted == before.bytesGranted)
                #expect(accountAfter.liveBlocks == account.liveBlocks && accountAfter.peakBytes == account.peakBytes)
            }
            arena.checkInvariants()
            #expect(arena.slabStatistics.slabs == upstream.statistics.liveBlocks)
            #expect(arena.live == live.count)
            #expect(live.allSatisfy { chunk, byte in chunk.allSatisfy { $0 == byte } })
        }
        func allocate(_ byteCount: Int) throws {
            try attempt {
                let chunk = try arena.allocateChunk(byteCount: byteCount)
                let byte = UInt8(truncatingIfNeeded: byteCount &+ live.count)
                chunk.initializeMemory(as: UInt8.self, repeating: byte)
                live.append((chunk, byte))
            }
        }
        for byteCount in [10, 100, 1000, 2048, 2048, 0, 500, 33] { try allocate(byteCount) }
        try attempt { try arena.prefill(byteCount: 200, chunkCount: 30) }
        for _ in 0..<10 { try allocate(1500) }
        for _ in 0..<live.count / 2 { arena.release(live.remove(at: live.count / 3).0) }
        for byteCount in [2048, 2048, 60, 700, 700, 700] { try allocate(byteCount) }
        arena.trim()
        for byteCount in [100, 2048, 900] { try allocate(byteCount) }
        arena.freeAll()
        live = []
        for byteCount in [100, 2048, 900] { try allocate(byteCount) }
        for (chunk, _) in live { #expect(arena.release(chunk)) }
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
        // Memory is back: everything works.
        upstream.plan = .never
        arena.release(try arena.allocateChunk(byteCount: 2048))
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
        return refusals
    }

    @Test(arguments: [Duration.zero, .seconds(1), nil] as [Duration?])
    func nothingIsLostWhenAnyRequestIsRefused(delay: Duration?) throws {
        func refusals(_ plan: FailurePlan) throws -> (refusals: Int, requests: Int) {
            let upstream = FailingAllocator(plan: plan)
            let arena = try SlabArena(startChunkSize: 32, slabSize: 2048, growthFactor: 2, upstream: upstream)
            arena.emptySlabDelay = delay
            return (try tell(arena, upstream), upstream.requestCount)
        }
        // The last of the requests is the one after the story.
        let requests = try refusals(.never).requests - 1
        #expect(requests > 15)
        var (once, thrice) = (0, 0)
        for number in 1...requests {
            // Where another class has an empty slab, that goes back, and upstream is asked again.
            let refused = try refusals(.request(number)).refusals
            #expect(delay == .zero ? refused == 1 : refused <= 1)
            once += refused
            thrice += try refusals(.request(number, count: 3)).refusals
            #expect(try refusals(.after(number - 1)).refusals >= 1)
        }
        #expect(once > requests / 2 && thrice > once)
    }

    @Test func noNumberForASlabIsARefusal() throws {
        let upstream = FailingAllocator(plan: .never)
        let arena = try SlabArena(startChunkSize: 64, slabSize: 64, growthFactor: 2, upstream: upstream)
        let chunk = try arena.allocateChunk(byteCount: 1)
        let (count, capacity) = (arena.slots.count, arena.slots.capacity)
        arena.slots.count = 1 << 31
        arena.slots.capacity = 1 << 31
        #expect(arena.tryAllocateChunk(byteCount: 1) == nil)
        arena.slots.count = count
        arena.slots.capacity = capacity
        #expect(arena.slabStatistics.slabAllocationFailures == 1 && upstream.requestCount == 1)
        arena.checkInvariants()
        let second = try arena.allocateChunk(byteCount: 1)
        arena.release(second)
        arena.release(chunk)
        try arena.close()
    }

    /// A quota below: memory goes from class to class through it.
    @Test func aQuotaBoundsAnArena() throws {
        let quota = try QuotaAllocator(limit: 100_000)
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: quota)
        for size in [64, 4096, 128, 2000, 1, 4000] {
            var chunks: [UnsafeMutableRawBufferPointer] = []
            while let chunk = arena.tryAllocateChunk(byteCount: size) { chunks.append(chunk) }
            // Nearly all of it, whatever was before.
            #expect(chunks.count * arena.byteCount(of: chunks[0].baseAddress!) > 50_000)
            #expect(quota.liveBytes <= 100_000)
            for chunk in chunks { arena.release(chunk) }
            arena.trim()
        }
        try arena.close()
        try quota.close()
    }

    // MARK: - The last slab that was found

    /// The slab of the chunk that was allocated last becomes another class's, and nothing is allocated meanwhile.
    @Test func theLastChunkIsForgottenWhenItsSlabChangesItsClass() throws {
        // 64 chunks of 64 bytes, 60 of 68: few enough records are left over for the slab to stay.
        let arena = try SlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 1.05, alignment: 1, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 64)
        arena.release(chunk)
        #expect(arena.rebalance(to: 68) { _, _ in }.slabsHandedOver == 1)
        #expect(arena.slabStatistics.slabsReassigned == 1 && arena.slabStatistics.slabsGivenBack == 0)
        #expect(arena.last.chunk == noBase)
        arena.checkInvariants()
        // In a chunk that was not used yet.
        #expect(arena.owns(chunk.baseAddress!) && arena.location(of: chunk).isNil)
        try arena.close()
    }

    /// A slab goes, and another upstream's block takes its place: no pointer leads to what was there.
    @Test func theLastSlabIsForgottenWhenItGoes() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        for round in 0..<4 {
            let chunk = try arena.allocateChunk(byteCount: 64)
            #expect(arena.owns(chunk.baseAddress!))
            #expect(arena.last.chunk == UInt(bitPattern: chunk.baseAddress))
            arena.release(chunk)
            switch round {
            case 0: arena.trim()
            case 1: arena.freeAll()
            case 2: try arena.close()
            default: arena.emptySlabDelay = .zero
            }
            #expect(arena.last.chunk == noBase)
            #expect(!arena.owns(chunk.baseAddress!) && arena.location(of: chunk).isNil)
        }
        try arena.close()
    }
}

/// Breaks the contract: its blocks are not aligned, or smaller than it was asked for.
final class WrongUpstream: Allocator {
    let offset: Int
    let missing: Int

    init(offset: Int, missing: Int) {
        self.offset = offset
        self.missing = missing
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try SystemAllocator().allocate(byteCount: byteCount + offset, alignment: alignment)
        return UnsafeMutableRawBufferPointer(start: block.baseAddress! + offset, count: byteCount - missing)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer - offset) }
}

/// Offers alignments up to a limit, gives no better ones, and rounds sizes up.
final class PoorUpstream: Allocator {
    let largestAlignment: Int
    let granularity: Int
    /// The blocks, and their bytes.
    private(set) var live: [UnsafeMutableRawPointer: Int] = [:]
    private var origins: [UnsafeMutableRawPointer: UnsafeMutableRawPointer] = [:]

    init(largestAlignment: Int = 1 << 20, granularity: Int = 1) {
        self.largestAlignment = largestAlignment
        self.granularity = granularity
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard alignment <= largestAlignment else {
            throw AllocationError(
                allocator: "PoorUpstream", byteCount: byteCount, alignment: alignment,
                reason: .unsupportedAlignment(limit: largestAlignment))
        }
        let size = (byteCount + granularity - 1) / granularity * granularity
        let block = try SystemAllocator().allocate(byteCount: size + alignment, alignment: alignment * 2)
        // Aligned as asked for, and by no bit more.
        let start = block.baseAddress! + alignment
        live[start] = size
        origins[start] = block.baseAddress!
        return UnsafeMutableRawBufferPointer(start: start, count: size)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        precondition(live.removeValue(forKey: pointer) != nil)
        SystemAllocator().deallocate(origins.removeValue(forKey: pointer)!)
    }
}

/// One mebibyte from the lowest address on that Linux gives a process, handed out once, from its start.
final class LowUpstream: Allocator {
    static let lowest = 1 << 16
    var largestAlignment = 1 << 16
    private var next = LowUpstream.lowest
    private var count = 0

    static var isPossible: Bool { LowUpstream() != nil }

    init?() {
        let address = UnsafeMutableRawPointer(bitPattern: Self.lowest)
        let found = mmap(
            address, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | Int32(MAP_FIXED_NOREPLACE), -1, 0)
        guard found == address else { return nil }
    }

    deinit { munmap(UnsafeMutableRawPointer(bitPattern: Self.lowest)!, 1 << 20) }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        func refusal(_ reason: AllocationError.Reason) -> AllocationError {
            AllocationError(allocator: "LowUpstream", byteCount: byteCount, alignment: alignment, reason: reason)
        }
        guard alignment <= largestAlignment else { throw refusal(.unsupportedAlignment(limit: largestAlignment)) }
        let start = (next + alignment - 1) / alignment * alignment
        guard start + byteCount <= Self.lowest + 1 << 20 else { throw refusal(.outOfMemory) }
        next = start + byteCount
        count += 1
        return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: start), count: byteCount)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        count -= 1
        if count == 0 { next = Self.lowest }
    }
}
