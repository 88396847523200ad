// Items of any size: allocated as chains, read, written and sent in pieces, and owned.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

/// Bytes of which each says where it is.
private func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 31 &+ ($0 >> 8)) }
}

extension SlabChain {
    fileprivate func write(_ bytes: [UInt8], at offset: Int = 0) {
        bytes.withUnsafeBytes { write(at: offset, from: $0) }
    }

    fileprivate func bytes(at offset: Int = 0, count: Int? = nil) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count ?? self.count) { bytes, initialized in
            initialized = read(at: offset, into: UnsafeMutableRawBufferPointer(bytes))
        }
    }
}

@Suite struct ChainAllocationTests {
    @Test(arguments: [1, 7, 16, 100, 1000, 4096])
    func anItemIsEqualChunksAndARest(chunkSize: Int) throws {
        let arena = try makeSmallArena()
        for byteCount in [0, 1, 15, 16, 17, 99, 100, 4095, 4096, 4097, 12_288, 20_001] {
            let head = try arena.allocateChain(byteCount: byteCount, chunkSize: chunkSize)
            let counts = arena.chain(head).segments.map(\.count)
            let (full, rest) = byteCount.quotientAndRemainder(dividingBy: chunkSize)
            #expect(counts == Array(repeating: chunkSize, count: full) + (rest > 0 ? [rest] : []))
            #expect(arena.chain(head).count == byteCount && arena.chain(head).segmentCount == counts.count)
            #expect(arena.statistics.liveBlocks == max(counts.count, 1))
            // The rest is in a chunk of its own class.
            let last = arena.chain(head).last
            let count = rest > 0 || byteCount == 0 ? rest : chunkSize
            #expect(arena.byteCount(of: last.baseAddress!) == arena.goodSize(for: count, alignment: 1))
            arena.checkInvariants()
            #expect(arena.release(head))
            #expect(arena.statistics.liveBlocks == 0)
        }
        try arena.close()
    }

    @Test(arguments: [1.05, 1.1, 1.25, 2.0, 4.0, 16.7], [1, 64, 4096])
    func theDefaultChunkSizeWastesLittle(factor: Double, start: Int) throws {
        let arena = try SlabArena(
            startChunkSize: start, slabSize: 1 << 20, growthFactor: factor, upstream: SystemAllocator())
        #expect(arena.chunkSizes.contains(arena.defaultChainChunkSize))
        // The largest factor has no chunk between a 16th of the rest and the rest.
        #expect(try waste(arena, nil) < (factor > 4 ? 0.04 : factor > 2 ? 0.02 : 0.01))
        #expect(try waste(arena, arena.slabSize) > 0.1)
        try arena.close()
    }

    /// What items of 0.3 to 3 MB take beyond their bytes, as a part of these.
    private func waste(_ arena: SlabArena, _ chunkSize: Int?) throws -> Double {
        var (requested, held) = (0, 0)
        for byteCount in stride(from: 300_000, through: 3_000_000, by: 54_321) {
            let head = try arena.allocateChain(byteCount: byteCount, chunkSize: chunkSize)
            requested += byteCount
            for segment in arena.chain(head).segments {
                let chunk = arena.byteCount(of: segment.baseAddress!)
                // Its share of a slab.
                held += arena.slabSize / (arena.slabSize / chunk) + MemoryLayout<ChunkRecord>.stride
            }
            arena.release(head)
        }
        return Double(held) / Double(requested) - 1
    }

    @Test func anArenaOfFewClassesHasADefaultToo() throws {
        for (start, slab, factor) in [(1, 1, 2.0), (64, 64, 2), (1, 4096, 5000), (4096, 8192, 1.5)] {
            let arena = try SlabArena(
                startChunkSize: start, slabSize: slab, growthFactor: factor, alignment: 1, upstream: SystemAllocator())
            let head = try arena.allocateChain(byteCount: 50_000)
            #expect(arena.chain(head).count == 50_000)
            arena.release(head)
            try arena.close()
        }
    }

    @Test func whereUpstreamRefusesMidwayNothingIsLost() throws {
        for served in 0..<12 {
            let upstream = FailingAllocator(plan: .after(served))
            let arena = try makeSmallArena(upstream: upstream)
            let kept = served > 0 ? try arena.allocateChunk(byteCount: 4096) : nil
            // Each slab has four.
            do throws(AllocationError) {
                _ = try arena.allocateChain(byteCount: 50_000, chunkSize: 1024)
                Issue.record("\(served) slabs hold 49 chunks")
            } catch {
                #expect(error.reason == .outOfMemory && error.byteCount == 50_000)
            }
            #expect(arena.statistics.liveBlocks == (served > 0 ? 1 : 0))
            arena.checkInvariants()
            // What was given back can be had again.
            if let kept, served > 1 {
                let head = try arena.allocateChain(byteCount: (served - 1) * 4096, chunkSize: 1024)
                #expect(arena.chain(head).segmentCount == (served - 1) * 4)
                arena.release(head)
                arena.release(kept)
            } else if let kept {
                arena.release(kept)
            }
            try arena.close()
            #expect(upstream.statistics.liveBlocks == 0)
        }
    }

    @Test func aShortageInTheMidstOfAChainIsRelieved() throws {
        let arena = try makeSmallArena(upstream: FailingAllocator(plan: .byteLimit(4 * 5000)))
        var cached = try (0..<3).map { _ in try arena.allocateChunk(byteCount: 4096) }
        arena.onShortage = { _ in
            guard let chunk = cached.popLast() else { return false }
            return arena.release(chunk)
        }
        defer { arena.onShortage = nil }
        let head = try arena.allocateChain(byteCount: 12_000, chunkSize: 1000)
        #expect(arena.chain(head).count == 12_000)
        arena.release(head)
        #expect(cached.count < 2)
        for chunk in cached { arena.release(chunk) }
        try arena.close()
    }

    @Test func whatCanNeverBeServedThrows() throws {
        let arena = try makeSmallArena()
        #expect(throws: AllocationError.self) { try arena.allocateChain(byteCount: 10, chunkSize: 4097) }
        do throws(AllocationError) { _ = try arena.allocateChain(byteCount: 10, chunkSize: 4097) } catch {
            #expect(error.reason == .tooLarge(limit: 4096))
        }
        #expect(arena.slabStatistics.requestsTooLarge == 2)
        #expect(arena.tryAllocateChain(byteCount: 10, chunkSize: 4097) == nil)
        #expect(arena.statistics.totalBlocks == 0)
    }
}

@Suite struct SlabChainTests {
    /// A chain whose head and links are slices, some with an offset, some shortened, one empty; and its bytes.
    private func makePatchwork(_ arena: SlabArena) throws -> UnsafeMutableRawBufferPointer {
        var next: UnsafeMutableRawBufferPointer?
        for range in [0..<100, 3..<4, 50..<50, 1..<64, 10..<300, 0..<5].reversed() {
            let chunk = try arena.allocateChunk(byteCount: 300)
            for index in chunk.indices { chunk[index] = 0xee }
            let slice = UnsafeMutableRawBufferPointer(rebasing: chunk[range])
            arena.setNext(next, of: slice)
            if let next { arena.release(next) }
            next = slice
        }
        return next!
    }

    @Test func headsAndLinksThatAreSlicesAreOneRunOfBytes() throws {
        let arena = try makeSmallArena()
        let head = try makePatchwork(arena)
        let chain = arena.chain(head)
        #expect(chain.segments.map(\.count) == [100, 1, 63, 290, 5])
        #expect(chain.count == 459 && chain.segmentCount == 5 && chain.last.count == 5)
        let bytes = pattern(459)
        chain.write(bytes)
        #expect(chain.bytes() == bytes)
        // Nothing was written beside the slices.
        var outside = 0
        arena.forEachLiveChunk { location in
            for byte in arena.buffer(at: location)![..<300] where byte == 0xee { outside += 1 }
        }
        #expect(outside >= 6 * 300 - 459)
        let patternsOwn = bytes.count { $0 == 0xee }
        #expect(outside == 6 * 300 - 459 + patternsOwn)
        arena.release(head)
        try arena.close()
    }

    @Test func everyRangeIsReadWrittenAndSliced() throws {
        let arena = try makeSmallArena()
        let head = try makePatchwork(arena)
        let chain = arena.chain(head)
        var model = pattern(459)
        chain.write(model)
        for lower in stride(from: 0, through: 459, by: 13) {
            for upper in [lower, lower + 1, lower + 99, lower + 163, 459] where upper <= 459 && upper >= lower {
                let range = lower..<upper
                #expect(chain.bytes(at: lower, count: range.count) == Array(model[range]))
                let slice = chain.slice(range)
                #expect(slice.flatMap { Array($0) } == Array(model[range]))
                #expect(slice.allSatisfy { !$0.isEmpty && arena.owns($0.baseAddress!) })
                let fresh = pattern(range.count, seed: upper)
                model.replaceSubrange(range, with: fresh)
                chain.write(fresh, at: lower)
                #expect(chain.bytes() == model)
            }
        }
        // At the end there is less, and then nothing.
        #expect(chain.bytes(at: 450, count: 20) == Array(model[450...]))
        #expect(chain.bytes(at: 459, count: 20) == [] && chain.bytes(at: 100_000, count: 20) == [])
        #expect(chain.read(into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == 0)
        chain.write(at: 459, from: UnsafeRawBufferPointer(start: nil, count: 0))
        arena.release(head)
        try arena.close()
    }

    @Test func copiesToABufferThatHasRoom() throws {
        let arena = try makeSmallArena()
        let head = try arena.allocateChain(byteCount: 1000, chunkSize: 48)
        arena.chain(head).write(pattern(1000))
        for room in [1000, 1001] {
            var target = [UInt8](repeating: 7, count: room)
            #expect(target.withUnsafeMutableBytes { arena.chain(head).copy(to: $0) } == 1000)
            #expect(target == pattern(1000) + Array(repeating: 7, count: room - 1000))
        }
        arena.release(head)
        let empty = try arena.allocateChain(byteCount: 0)
        #expect(arena.chain(empty).copy(to: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == 0)
        #expect(arena.chain(empty).segmentCount == 0 && arena.chain(empty).slice(0..<0).isEmpty)
        arena.release(empty)
        try arena.close()
    }

    @Test func aClosureFillsAChainAsItLikes() throws {
        let arena = try makeSmallArena()
        let head = try arena.allocateChain(byteCount: 1000, chunkSize: 48)
        let chain = arena.chain(head)
        let bytes = pattern(1000)
        for step in [1, 7, 48, 1000] {
            chain.write(Array(repeating: 0, count: 1000))
            var done = 0
            let filled = chain.fill { target in
                let count = min(step, target.count)
                target.copyBytes(from: bytes[done..<done + count])
                done += count
                return count
            }
            #expect(filled == 1000 && chain.bytes() == bytes)
        }
        // It ends where the closure says so.
        var calls = 0
        let filled = chain.fill(from: 990) { target in
            calls += 1
            target[0] = 0
            return calls == 3 ? -1 : 2
        }
        #expect(filled == 4 && calls == 3)
        let zeroed = [bytes[988], bytes[989], 0, bytes[991], 0, bytes[993], 0, bytes[995]]
        #expect(chain.bytes(at: 988, count: 8) == zeroed)
        #expect(chain.fill(from: 1000) { $0.count } == 0)
        struct Refusal: Error {}
        #expect(throws: Refusal.self) { try chain.fill { _ throws(Refusal) in throw Refusal() } }
        arena.release(head)
        try arena.close()
    }

    @Test func aChainOfALocation() throws {
        let arena = try makeSmallArena()
        let head = try arena.allocateChain(byteCount: 1000, chunkSize: 64)
        arena.chain(head).write(pattern(1000))
        let location = arena.location(of: head)
        #expect(try #require(arena.chain(at: location)).bytes() == pattern(1000))
        // A slice of the first segment, and all that is behind it.
        #expect(try #require(arena.chain(at: location.slice(60..<64))).bytes() == Array(pattern(1000)[60...]))
        arena.release(head)
        #expect(arena.chain(at: location)?.count == nil && arena.chain(at: .nil)?.count == nil)
        try arena.close()
    }

    @Test func vectorsComeInListsAndGoOnWhereTheBodyStopped() throws {
        let arena = try makeSmallArena()
        let head = try arena.allocateChain(byteCount: 16 * 3000 + 5, chunkSize: 16)
        let chain = arena.chain(head)
        let bytes = pattern(chain.count)
        chain.write(bytes)
        // All of each list.
        var lists: [Int] = []
        let all = chain.withIOVectors { list in
            lists.append(list.count)
            return list.reduce(0) { $0 + $1.iov_len }
        }
        #expect(all == bytes.count && lists == [1024, 1024, 953])
        // A part of each, of a range, in short lists.
        for (step, maximumCount) in [(1, 1), (15, 3), (16, 4), (40, 2), (999, 1024)] {
            var got: [UInt8] = []
            let done = chain.withIOVectors(in: 5..<2000, maximumCount: maximumCount) { list in
                #expect((1...maximumCount).contains(list.count) && list.allSatisfy { $0.iov_len > 0 })
                let given = list.flatMap { Array(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len)) }
                got += given.prefix(step)
                return min(step, given.count)
            }
            #expect(done == 1995 && got == Array(bytes[5..<2000]))
        }
        // The body ends it.
        var calls = 0
        let done = chain.withIOVectors { _ in
            calls += 1
            return calls < 3 ? 100 : -1
        }
        #expect(done == 200 && calls == 3)
        #expect(chain.withIOVectors(in: 7..<7) { _ in 1 } == 0)
        arena.release(head)
        try arena.close()
    }

    @Test func writevAndReadvCarryAChainThroughAPipe() throws {
        let arena = try SlabArena(startChunkSize: 16, slabSize: 65536, growthFactor: 1.5, upstream: SystemAllocator())
        let source = try arena.allocateChain(byteCount: 300_001, chunkSize: 100)
        let target = try arena.allocateChain(byteCount: 300_001, chunkSize: 7000)
        let bytes = pattern(300_001)
        arena.chain(source).write(bytes)
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        for end in ends { #expect(fcntl(end, F_SETFL, O_NONBLOCK) == 0) }
        var (written, received) = (0, 0)
        // The pipe holds less than the item: a full one ends the writing, an empty one the reading.
        while received < bytes.count {
            written += arena.chain(source).withIOVectors(in: written..<bytes.count) {
                writev(writing, $0.baseAddress, Int32($0.count))
            }
            let before = received
            received += arena.chain(target).withIOVectors(in: received..<bytes.count) {
                readv(reading, $0.baseAddress, Int32($0.count))
            }
            try #require(received > before)
        }
        #expect(written == bytes.count && arena.chain(target).bytes() == bytes)
        for end in ends { close(end) }
        arena.release(source)
        arena.release(target)
        try arena.close()
    }

    @Test func writevToAFile() throws {
        let arena = try makeSmallArena()
        let head = try makePatchwork(arena)
        arena.chain(head).write(pattern(459))
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("mallow-chain-\(getpid())").path
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        try #require(file >= 0)
        defer { unlink(path) }
        let done = arena.chain(head).withIOVectors(maximumCount: 2) { writev(file, $0.baseAddress, Int32($0.count)) }
        close(file)
        #expect(done == 459)
        #expect(FileManager.default.contents(atPath: path).map { Array($0) } == pattern(459))
        arena.release(head)
        try arena.close()
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func randomCallsAreAnArraysOwn(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let arena = try SlabArena(
            startChunkSize: 8, slabSize: 2048, growthFactor: [1.1, 1.5, 2, 3][Int(seed) % 4],
            upstream: SystemAllocator())
        for _ in 0..<20 {
            let count = Int.random(in: 0...5000, using: &random)
            let chunkSize = Int.random(in: 0..<4, using: &random) == 0 ? nil : Int.random(in: 1...600, using: &random)
            let head = try arena.allocateChain(byteCount: count, chunkSize: chunkSize)
            let chain = arena.chain(head)
            var model = pattern(count)
            chain.write(model)
            for _ in 0..<40 {
                let lower = Int.random(in: 0...count, using: &random)
                let range = lower..<Int.random(in: lower...count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    let fresh = pattern(range.count, seed: Int(random.next() & 0xffff))
                    chain.write(fresh, at: lower)
                    model.replaceSubrange(range, with: fresh)
                case 1:
                    let byte = UInt8.random(in: 0...255, using: &random)
                    chain.fill(from: lower) {
                        $0[0] = byte
                        return 1
                    }
                    for index in lower..<count { model[index] = byte }
                case 2: #expect(chain.slice(range).flatMap { Array($0) } == Array(model[range]))
                default: #expect(chain.bytes(at: lower, count: range.count) == Array(model[range]))
                }
            }
            #expect(chain.bytes() == model)
            arena.release(head)
        }
        arena.checkInvariants()
        try arena.close()
    }
}

@Suite struct SlabItemTests {
    let arena: SlabArena

    init() throws { arena = try makeSmallArena() }

    @Test func anItemIsReadSpanBySpan() throws {
        let bytes = pattern(5000)
        do {
            let item = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 300)
            #expect(item.count == 5000 && arena.statistics.liveBlocks == 17)
            var read: [UInt8] = []
            var spans = item.spans
            while let span = spans.next() {
                for index in 0..<span.byteCount { read.append(span.unsafeLoad(fromByteOffset: index, as: UInt8.self)) }
            }
            #expect(read == bytes)
            #expect(item.bytes() == bytes && item.bytes(in: 299..<3333) == Array(bytes[299..<3333]))
            #expect(item.bytes(in: 5000..<5000) == [])
            var target = [UInt8](repeating: 0, count: 100)
            var span = target.mutableSpan
            var room = span.mutableBytes
            #expect(item.read(at: 4950, into: &room) == 50)
            #expect(item.read(at: 6000, into: &room) == 0)
            #expect(target == Array(bytes[4950...]) + Array(repeating: 0, count: 50))
        }
        try arena.close()
    }

    @Test func anItemIsWrittenByWhoHasTheOnlyReference() throws {
        var bytes = pattern(1000)
        do {
            var item = try arena.makeItem(byteCount: 1000, chunkSize: 64)
            item.withMutableSpans { span, offset in
                for index in 0..<span.byteCount {
                    span.storeBytes(of: bytes[offset + index], toByteOffset: index, as: UInt8.self)
                }
            }
            #expect(item.bytes() == bytes)
            let patch = pattern(200, seed: 5)
            item.write(at: 500, from: patch.span.bytes)
            bytes.replaceSubrange(500..<700, with: patch)
            #expect(item.bytes() == bytes && item.isOnlyReference)
            do {
                let other = item.duplicate()
                #expect(!item.isOnlyReference && other.bytes() == bytes)
                // A copy is written, and the item stays as it is.
                var copy = try other.copy(chunkSize: 100)
                copy.write(from: patch.span.bytes)
                #expect(copy.bytes() == patch + bytes[200...] && item.bytes() == bytes)
            }
            #expect(item.isOnlyReference == true)
            do {
                // A handle on a chunk in the midst.
                let head = SlabBuffer(arena: arena, adopting: item.unsafeChain.head)
                let second = head.next()
                _ = head.intoUnsafeBytes()
                #expect(second != nil && !item.isOnlyReference)
            }
            #expect(item.isOnlyReference == true)
        }
        try arena.close()
    }

    @Test func anItemIsStoredAndTaken() throws {
        let bytes = pattern(1000)
        let location = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 64).store()
        #expect(arena.statistics.liveBlocks == 16 && location.count == 64)
        do {
            let seen = try unwrap(arena.makeItem(at: location))
            #expect(seen.bytes() == bytes && !seen.isOnlyReference)
        }
        do {
            let item = try unwrap(arena.takeItem(at: location))
            #expect(item.bytes() == bytes && item.isOnlyReference && item.location == location)
            #expect(arena.takeItem(at: location)?.count == nil)
        }
        #expect(arena.makeItem(at: location)?.count == nil)
        let other = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 64).store()
        #expect(arena.release(at: other))
        try arena.close()
    }

    @Test func anItemComesFromABufferAndGoesBackToIt() throws {
        do {
            var head = try arena.makeBuffer(copying: pattern(100).span.bytes)
            let tail = try arena.makeBuffer(copying: pattern(50, seed: 9).span.bytes)
            head.setNext(tail.slice(10..<30))
            head.shorten(to: 60)
            let item = SlabItem(head)
            #expect(item.bytes() == Array(pattern(100)[..<60]) + Array(pattern(50, seed: 9)[10..<30]))
            // What is linked behind it later is not the item's.
            var last = tail.duplicate()
            last.setNext(try arena.makeBuffer(byteCount: 500))
            #expect(item.count == 80 && item.bytes().count == 80)
            var count = 0
            item.withSpans { span, offset in
                #expect(offset == count)
                count += span.byteCount
            }
            #expect(count == 80)
            let buffer = item.intoBuffer()
            #expect(buffer.count == 60)
        }
        try arena.close()
    }
}

@Suite struct SlabChainTrapTests {
    @Test func wrongRequestsTrap() async {
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().allocateChain(byteCount: -1)
        }
        expectMessage(negative, "SlabArena: a request for a negative number of bytes (-1)")
        let size = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().allocateChain(byteCount: 10, chunkSize: 0)
        }
        expectMessage(size, "SlabArena: a chain of chunks of 0 bytes")
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chunk = try arena.allocateChunk(byteCount: 32)
            _ = arena.chain(UnsafeMutableRawBufferPointer(start: chunk.baseAddress!, count: 33))
        }
        expectMessage(beyond, "is a buffer that goes beyond its chunk")
        let free = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let (chunk, other) = (try arena.allocateChunk(byteCount: 32), try arena.allocateChunk(byteCount: 32))
            arena.release(chunk)
            _ = arena.chain(chunk)
            arena.release(other)
        }
        expectMessage(free, "is not live: its last reference was released already")
    }

    @Test func rangesBeyondTheChainTrap() async {
        let read = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chain = arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30))
            chain.read(at: -1, into: chain.head)
        }
        expectMessage(read, "SlabChain: read at -1")
        let slice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            _ = arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30)).slice(95..<103)
        }
        expectMessage(slice, "SlabChain: a range that goes beyond the chain by 3 bytes")
        let before = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            _ = arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30)).segments(in: -5..<3)
        }
        expectMessage(before, "SlabChain: a range that begins at -5")
        let written = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chain = arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30))
            chain.write([1, 2, 3], at: 98)
        }
        expectMessage(written, "SlabChain: a range that goes beyond the chain by 1 bytes")
        let early = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30)).write([1], at: -2)
        }
        expectMessage(early, "SlabChain: written at -2")
        let copied = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chain = arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30))
            chain.copy(to: UnsafeMutableRawBufferPointer.allocate(byteCount: 99, alignment: 1))
        }
        expectMessage(copied, "SlabChain: copied to a buffer of 99 bytes, which are too few")
    }

    @Test func closuresThatSayTooMuchTrap() async {
        let filled = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30)).fill { $0.count + 1 }
        }
        expectMessage(filled, "SlabChain: 31 bytes filled of a segment of 30")
        let from = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30)).fill(from: -3) { $0.count }
        }
        expectMessage(from, "SlabChain: filled from -3")
        let done = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30)).withIOVectors { _ in 101 }
        }
        expectMessage(done, "SlabChain: 101 bytes done of a list of 100")
        let lists = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chain = arena.chain(try arena.allocateChain(byteCount: 100, chunkSize: 30))
            chain.withIOVectors(maximumCount: 1025) { _ in 0 }
        }
        expectMessage(lists, "SlabChain: lists of 1025 vectors")
    }

    @Test func itemsTrapWhereTheyAreSharedAndBeyondTheirEnd() async {
        let shared = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var item = try makeSmallArena().makeItem(byteCount: 100, chunkSize: 30)
            let other = item.duplicate()
            item.withMutableSpans { span, _ in span.storeBytes(of: 1, as: UInt8.self) }
            print(other.count)
        }
        expectMessage(shared, "SlabItem: 0x")
        expectMessage(shared, "is written while a chunk has other references: copy it first")
        let midst = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chain = try arena.allocateChain(byteCount: 100, chunkSize: 30)
            let second = arena.next(of: chain)
            var item = SlabItem(arena.adopt(chain))
            item.write(from: [1].span.bytes)
            print(second!.count)
        }
        expectMessage(midst, "is written while a chunk has other references: copy it first")
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var item = try makeSmallArena().makeItem(byteCount: 100, chunkSize: 30)
            item.write(at: 99, from: ([1, 2] as [UInt8]).span.bytes)
        }
        expectMessage(beyond, "SlabItem: 2 bytes written at 99, beyond the 100 that it has")
        let bytes = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().makeItem(byteCount: 100, chunkSize: 30).bytes(in: 5..<101)
        }
        expectMessage(bytes, "SlabItem: bytes of 5..<101 of 100")
        let stored = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let item = try makeSmallArena().makeItem(byteCount: 100, chunkSize: 30)
            let other = item.duplicate()
            _ = item.store()
            _ = other.store()
        }
        expectMessage(stored, "is held by a location already")
    }
}
