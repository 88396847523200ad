// Links between chunks, by the raw face: who holds whom, and what a link remembers.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

@Suite struct LinkTests {
    let arena: SlabArena

    init() throws { arena = try makeSmallArena() }

    private func references(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        arena.referenceCount(of: buffer.baseAddress!)
    }

    @Test func aBufferThatIsNowhereEndsASharedChain() throws {
        let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 4096)
        let head = try arena.allocateChain(byteCount: 640, chunkSize: 64)
        #expect(arena.slabStatistics.chainWrites == 9)
        arena.setNext(UnsafeRawBufferPointer(start: nil, count: 0), of: head.baseAddress!)
        #expect(arena.next(of: head) == nil)
        arena.checkInvariants()
        #expect(arena.statistics.liveBlocks == 1)
        arena.release(head)
        try arena.close()
    }

    @Test func aLinkHoldsAReferenceAndNextAddsOne() throws {
        let first = try arena.allocateChunk(byteCount: 10)
        let second = try arena.allocateChunk(byteCount: 100)
        #expect(arena.next(of: first) == nil)
        #expect(!arena.hasNext(first.baseAddress!))
        arena.setNext(second, of: first)
        #expect(arena.hasNext(first.baseAddress!))
        #expect(references(second) == 2 && references(first) == 1)
        let next = try #require(arena.next(of: first))
        #expect(next.baseAddress == second.baseAddress && next.count == 100)
        #expect(references(second) == 3)
        for _ in 0..<2 { #expect(!arena.release(second)) }
        arena.checkInvariants()
        // The link's is the last.
        #expect(arena.release(first))
        #expect(arena.location(of: second).isNil)
        try arena.close()
    }

    @Test func replacingAndClearingReleaseTheOldOne() throws {
        let head = try arena.allocateChunk(byteCount: 10)
        let old = try arena.allocateChunk(byteCount: 20)
        let new = try arena.allocateChunk(byteCount: 30)
        arena.setNext(old, of: head)
        let location = arena.location(of: old)
        #expect(!arena.release(old))
        arena.setNext(new, of: head)
        #expect(!arena.isLive(location))
        #expect(references(new) == 2)
        // The same again: no reference is gained or lost.
        arena.setNext(new, of: head)
        #expect(references(new) == 2)
        arena.checkInvariants()
        arena.setNext(nil, of: head)
        #expect(references(new) == 1)
        #expect(arena.next(of: head) == nil)
        arena.setNext(UnsafeMutableRawBufferPointer(start: nil, count: 0), of: head)
        arena.release(new)
        arena.release(head)
        try arena.close()
    }

    @Test func clearingALinkReleasesAllThatIsBehindIt() throws {
        let head = try arena.allocateChain(byteCount: 1000, chunkSize: 16)
        #expect(arena.statistics.liveBlocks == 63)
        let third = arena.chain(head).slice(32..<48)[0]
        arena.addReference(third)
        arena.setNext(nil, of: head)
        #expect(arena.statistics.liveBlocks == 62)
        #expect(arena.chain(head).count == 16 && arena.chain(third).count == 968)
        arena.release(head)
        arena.release(third)
        arena.checkInvariants()
        try arena.close()
    }

    @Test func aLinkKeepsTheOffsetAndTheLengthOfTheBufferItWasGiven() throws {
        let head = try arena.allocateChunk(byteCount: 64)
        let tail = try arena.allocateChunk(byteCount: 64)
        let slices = [0..<64, 0..<10, 5..<64, 63..<64, 7..<7, 31..<50]
        for range in slices {
            let slice = UnsafeMutableRawBufferPointer(rebasing: tail[range])
            // Of any part of the chunk that gets the link.
            arena.setNext(slice, of: UnsafeMutableRawBufferPointer(rebasing: head[range]))
            let next = try #require(arena.next(of: UnsafeRawPointer(head.baseAddress! + 63)))
            #expect(next.baseAddress == slice.baseAddress && next.count == range.count)
            #expect(references(tail) == 3)
            arena.release(next)
        }
        #expect(arena.release(head))
        #expect(arena.release(tail))
        try arena.close()
    }

    @Test func aChunkThatIsLinkedToIsNotMovable() throws {
        let head = try arena.allocateChunk(byteCount: 16)
        let tail = try arena.allocateChunk(byteCount: 16)
        let record = arena.liveChunk(UnsafeRawPointer(tail.baseAddress!)).record
        let location = arena.store(tail)
        #expect(record.state.isMovable)
        arena.setNext(tail, of: head)
        #expect(!record.state.isMovable)
        arena.setNext(nil, of: head)
        #expect(record.state.isMovable)
        arena.setNext(tail, of: head)
        #expect(!arena.release(at: location))
        // One reference, the link's.
        #expect(record.pointee.references == 1 && !record.state.isMovable)
        arena.release(head)
        #expect(!arena.isLive(location))
        try arena.close()
    }

    @Test func chainsWithACommonEndReleaseItWithTheLast() throws {
        let end = try arena.allocateChain(byteCount: 100, chunkSize: 16)
        let heads = try (0..<5).map { _ in try arena.allocateChunk(byteCount: 16) }
        for head in heads { arena.setNext(end, of: head) }
        #expect(references(end) == 6)
        arena.release(end)
        for head in heads.dropLast() { #expect(arena.release(head)) }
        #expect(arena.statistics.liveBlocks == 8)
        #expect(arena.chain(heads[4]).count == 116)
        #expect(arena.release(heads[4]))
        try arena.close()
    }

    @Test func aLongChainIsReleasedAndReadOnASmallStack() throws {
        let arena = try SlabArena(startChunkSize: 16, slabSize: 1 << 20, upstream: SystemAllocator())
        let failure = onSmallStack {
            let head = try arena.allocateChain(byteCount: 16_000_000, chunkSize: 16)
            guard arena.statistics.liveBlocks == 1_000_000 else { return "chunks are missing" }
            guard arena.chain(head).count == 16_000_000 else { return "bytes are missing" }
            let before = arena.slabStatistics.referencesReleased
            guard arena.release(head) else { return "it was not the last reference" }
            let after = arena.slabStatistics
            guard after.referencesReleased - before == 1_000_000, after.releasesToZero == 1_000_000 else {
                return "the chain was not released"
            }
            return nil
        }
        #expect(failure == nil)
        arena.checkInvariants()
        try arena.close()
    }

    /// Runs a body on a thread with a stack of 64 KiB.
    private func onSmallStack(_ body: @escaping () throws -> String?) -> String? {
        final class Result: @unchecked Sendable {
            var body: () throws -> String?
            var failure: String?
            init(_ body: @escaping () throws -> String?) { self.body = body }
        }
        let result = Result(body)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            do { result.failure = try result.body() } catch { result.failure = "\(error)" }
            done.signal()
        }
        thread.stackSize = 64 << 10
        thread.start()
        done.wait()
        return result.failure
    }

    @Test func linksAreCounted() throws {
        let first = try arena.allocateChunk(byteCount: 10)
        let second = try arena.allocateChunk(byteCount: 10)
        arena.setNext(second, of: first)
        arena.setNext(nil, of: first)
        _ = arena.next(of: first)
        #expect(arena.slabStatistics.chainWrites == 2 && arena.slabStatistics.chainReads == 1)
        #expect(arena.slabStatistics.referencesAdded == 1 && arena.slabStatistics.referencesReleased == 1)
        // Nine links are made, without a reference added, and each is followed; the last chunk says that it has none.
        let chain = try arena.allocateChain(byteCount: 100, chunkSize: 10)
        #expect(arena.slabStatistics.chainWrites == 11 && arena.slabStatistics.referencesAdded == 1)
        #expect(arena.chain(chain).count == 100)
        #expect(arena.slabStatistics.chainReads == 11)
        for buffer in [first, second, chain] { arena.release(buffer) }
        try arena.close()
    }

    @Test(arguments: [1, 2, 3, 4, 5])
    func randomLinksAreTheModels(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var model = LinkModel(arena)
        for step in 0..<2000 {
            try model.step(&random)
            if let broken = arena.brokenInvariant() {
                Issue.record("after step \(step): \(broken)")
                return
            }
            model.check()
        }
        model.end()
        try arena.close()
    }
}

/// Chunks, with the references that a program and other chunks' links have of them.
private struct LinkModel {
    struct Chunk {
        var buffer: UnsafeMutableRawBufferPointer
        var own: Int
        /// The number of the next chunk, which is smaller: there is no ring.
        var next: Int?
        var link: Range<Int>
    }

    let arena: SlabArena
    var chunks: [Int: Chunk] = [:]
    var last = 0

    init(_ arena: SlabArena) { self.arena = arena }

    /// Numbers of chunks of which the program has a reference, rising.
    private var held: [Int] { chunks.filter { $0.value.own > 0 }.map(\.key).sorted() }

    private func references(_ number: Int) -> Int {
        chunks[number]!.own + chunks.values.count { $0.next == number }
    }

    /// What ends when a reference does.
    private mutating func settle(_ number: Int) {
        var number: Int? = number
        while let ended = number, references(ended) == 0 {
            number = chunks[ended]!.next
            chunks[ended] = nil
        }
    }

    mutating func step(_ random: inout SeededGenerator) throws {
        guard let number = held.randomElement(using: &random), chunks.count < 40 || Bool.random(using: &random) else {
            last += 1
            let buffer = try arena.allocateChunk(byteCount: Int.random(in: 1...200, using: &random))
            chunks[last] = Chunk(buffer: buffer, own: 1, next: nil, link: 0..<0)
            return
        }
        let buffer = chunks[number]!.buffer
        switch Int.random(in: 0..<8, using: &random) {
        case 0..<3:
            guard let next = held.last(where: { $0 < number }) else { return }
            let target = chunks[next]!.buffer
            let lower = Int.random(in: 0..<target.count, using: &random)
            let range = lower..<Int.random(in: lower...target.count, using: &random)
            arena.setNext(UnsafeMutableRawBufferPointer(rebasing: target[range]), of: buffer)
            let old = chunks[number]!.next
            chunks[number]!.next = next
            chunks[number]!.link = range
            if let old { settle(old) }
        case 3:
            arena.setNext(nil, of: buffer)
            let old = chunks[number]!.next
            chunks[number]!.next = nil
            if let old { settle(old) }
        case 4:
            guard arena.next(of: buffer) != nil else { return }
            chunks[chunks[number]!.next!]!.own += 1
        default:
            let isLast = references(number) == 1
            #expect(arena.release(buffer) == isLast)
            chunks[number]!.own -= 1
            settle(number)
        }
    }

    func check() {
        #expect(arena.statistics.liveBlocks == chunks.count)
        for (number, chunk) in chunks {
            #expect(arena.referenceCount(of: chunk.buffer.baseAddress!) == references(number))
            let next = arena.next(of: chunk.buffer)
            #expect(next.map { $0.count } == chunk.next.map { _ in chunk.link.count })
            guard let next, let number = chunk.next else { continue }
            #expect(next.baseAddress == chunks[number]!.buffer.baseAddress! + chunk.link.lowerBound)
            arena.release(next)
        }
    }

    mutating func end() {
        for number in held {
            for _ in 0..<chunks[number]!.own { arena.release(chunks[number]!.buffer) }
        }
    }
}

@Suite struct LinkTrapTests {
    @Test func wrongLinksTrap() async {
        let itself = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chunk = try arena.allocateChunk(byteCount: 20)
            arena.setNext(UnsafeMutableRawBufferPointer(rebasing: chunk[5...]), of: chunk)
        }
        expectMessage(itself, "is linked to itself")
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chunk = try arena.allocateChunk(byteCount: 32)
            let other = try arena.allocateChunk(byteCount: 32)
            arena.setNext(UnsafeMutableRawBufferPointer(start: other.baseAddress! + 1, count: 32), of: chunk)
        }
        expectMessage(beyond, "is a buffer that goes beyond its chunk")
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let (arena, other) = (try makeSmallArena(), try makeSmallArena())
            arena.setNext(try other.allocateChunk(byteCount: 32), of: try arena.allocateChunk(byteCount: 32))
        }
        expectMessage(foreign, "SlabArena: 0x")
        expectMessage(foreign, "is not of this arena")
    }

    @Test func chunksThatAreNotLiveTrap() async {
        let next = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let (chunk, free) = (try arena.allocateChunk(byteCount: 32), try arena.allocateChunk(byteCount: 32))
            arena.release(free)
            arena.setNext(free, of: chunk)
        }
        expectMessage(next, "is not live: its last reference was released already")
        let head = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let (chunk, free) = (try arena.allocateChunk(byteCount: 32), try arena.allocateChunk(byteCount: 32))
            arena.release(free)
            arena.setNext(chunk, of: free)
        }
        expectMessage(head, "is not live: its last reference was released already")
        let asked = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let (chunk, free) = (try arena.allocateChunk(byteCount: 32), try arena.allocateChunk(byteCount: 32))
            arena.release(free)
            _ = arena.next(of: free)
            arena.release(chunk)
        }
        expectMessage(asked, "is not live: its last reference was released already")
        let whether = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chunk = try arena.allocateChunk(byteCount: 32)
            // Of the same slab, but not given out yet.
            _ = arena.hasNext(chunk.baseAddress! + 2000)
        }
        expectMessage(whether, "was never allocated")
    }
}
