// What chains and items refuse, and what they say.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

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
