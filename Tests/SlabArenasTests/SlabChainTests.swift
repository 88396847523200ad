// Chains as one run of bytes: read, written and sent in pieces.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

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
