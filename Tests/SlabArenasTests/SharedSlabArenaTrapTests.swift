// Every misuse of a shared arena that is caught, and what is said then.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SharedSlabArenaTrapTests {
    private func expect(_ text: String, in result: ExitTest.Result?, _ location: SourceLocation = #_sourceLocation) {
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains(text), "it said: \(message.prefix(400))", sourceLocation: location)
    }

    @Test func whatIsFreeTraps() async {
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.release(chunk)
            arena.release(chunk)
        }
        expect("SharedSlabArena: 0x", in: twice)
        expect("is not live: its last reference was released already", in: twice)
        let added = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.release(chunk)
            arena.addReference(chunk)
        }
        expect("is not live: its last reference was released already", in: added)
        let asked = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.release(chunk)
            _ = arena.byteCount(of: chunk.baseAddress!)
        }
        expect("is not live: its last reference was released already", in: asked)
        let never = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.release(UnsafeRawPointer(chunk.baseAddress! + (1 << 19)))
        }
        expect("was never allocated", in: never)
        let stored = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.release(chunk)
            _ = arena.store(chunk)
        }
        expect("is not live", in: stored)
    }

    /// More threads release than there are references: whichever comes last is caught.
    @Test func threadsThatRaceForTheLastReferenceTrap() async {
        let race = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 4096, shardCount: 4)
            let chunk = SharedChunk(buffer: try arena.allocateChunk(byteCount: 64), id: 0)
            for _ in 0..<2 { arena.addReference(chunk.buffer) }
            onSharingThreads(4) { _ in arena.release(chunk.buffer) }
        }
        expect("is not live: its last reference was released already", in: race)
    }

    @Test func whatIsForeignTraps() async {
        let others = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let other = try SharedSlabArena()
            let chunk = try other.allocateChunk(byteCount: 64)
            arena.release(chunk)
            other.release(chunk)
        }
        expect("is not of this arena", in: others)
        let single = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let single = try SlabArena()
            let chunk = try single.allocateChunk(byteCount: 64)
            arena.addReference(chunk)
            single.release(chunk)
        }
        expect("is not of this arena", in: single)
        let mallocs = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena(slabSize: 4096)
            let block = try SystemAllocator().allocate(byteCount: 1 << 16, alignment: 8192)
            block.initializeMemory(as: UInt8.self, repeating: 0xA5)
            arena.deallocate(block.baseAddress! + 8192)
        }
        expect("is not of this arena", in: mallocs)
        let gone = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            // The slab's memory stays mapped: it is a part of a larger block.
            let room = try SystemAllocator().allocate(byteCount: 1 << 16, alignment: 8192)
            let upstream = OneBlock(room.baseAddress!)
            let arena = try SharedSlabArena(slabSize: 4096, upstream: upstream)
            arena.emptySlabDelay = .zero
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.release(chunk)
            arena.release(chunk)
        }
        expect("is not of this arena", in: gone)
    }

    /// Calls that are not made for every reference say so even where no memory is mapped.
    @Test(arguments: ["deallocate", "store", "adopt", "setNext", "setNext of", "byteCount", "resize"])
    func whatIsNotMappedTraps(call: String) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [call = call as String] in
            let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 4096)
            let chunk = try arena.allocateChunk(byteCount: 64)
            // In the first page, which no process has.
            let none = UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: 64), count: 8)
            switch call {
            case "deallocate": arena.deallocate(none.baseAddress!)
            case "store": _ = arena.store(none)
            case "adopt": _ = arena.adopt(none)
            case "setNext": arena.setNext(none, of: chunk)
            case "setNext of": arena.setNext(chunk, of: none)
            case "byteCount": _ = arena.byteCount(of: none.baseAddress!)
            default: _ = arena.resize(none.baseAddress!, byteCount: 1)
            }
        }
        expect("SharedSlabArena: 0x", in: result)
        expect("is not of this arena", in: result)
    }

    @Test func whatIsNoChunkTraps() async {
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            arena.deallocate(try arena.allocateChunk(byteCount: 64).baseAddress! + 8)
        }
        expect("points into a chunk, not to its start", in: inside)
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena(startChunkSize: 64)
            let chunk = try arena.allocateChunk(byteCount: 64)
            _ = arena.store(UnsafeMutableRawBufferPointer(start: chunk.baseAddress, count: 65))
        }
        expect("is a buffer that goes beyond its chunk", in: beyond)
        let linked = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena(startChunkSize: 64)
            let chunk = try arena.allocateChunk(byteCount: 64)
            let next = try arena.allocateChunk(byteCount: 64)
            arena.setNext(UnsafeMutableRawBufferPointer(start: next.baseAddress! + 1, count: 64), of: chunk)
        }
        expect("is a buffer that goes beyond its chunk", in: linked)
        let ring = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.setNext(chunk, of: chunk)
        }
        expect("is linked to itself", in: ring)
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try SharedSlabArena().allocateChunk(byteCount: -1)
        }
        expect("SharedSlabArena: a request for a negative number of bytes (-1)", in: negative)
    }

    @Test func locationsThatAreMisusedTrap() async {
        let stale = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let location = arena.store(try arena.allocateChunk(byteCount: 64))
            arena.release(at: location)
            arena.release(at: location)
        }
        expect("is not live: it outlived its chunk, or is another arena's", in: stale)
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            _ = arena.store(chunk)
            _ = arena.store(chunk)
        }
        expect("is held by a location already", in: twice)
    }

    @Test func referencesBeyondTheCountTrap() async {
        let pointer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.chunk(chunk.baseAddress!).record.pointee.state |= 0xffff_ffff
            arena.addReference(chunk)
        }
        expect("has as many references as can be counted", in: pointer)
        let location = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            let chunk = try arena.allocateChunk(byteCount: 64)
            arena.chunk(chunk.baseAddress!).record.pointee.state |= 0xffff_ffff
            arena.addReference(at: arena.location(of: chunk))
        }
        expect("has as many references as can be counted", in: location)
    }

    @Test func writingToASharedBufferTraps() async {
        let written = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try SharedSlabArena()
            var buffer = try arena.makeBuffer(byteCount: 64)
            let other = buffer.duplicate()
            var bytes = buffer.mutableSpan
            bytes.storeBytes(of: 1, as: UInt8.self)
            _ = other.count
        }
        expect("is written while its chunk has other references: copy it first", in: written)
    }

    @Test(arguments: [false, true]) func linkingASharedBufferAnewTraps(isRemoved: Bool) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [isRemoved = isRemoved as Bool] in
            let arena = try SharedSlabArena()
            var buffer = try arena.makeBuffer(byteCount: 64)
            buffer.setNext(try arena.makeBuffer(byteCount: 64))
            let other = buffer.duplicate()
            if isRemoved { buffer.removeNext() } else { buffer.setNext(try arena.makeBuffer(byteCount: 64)) }
            _ = other.count
        }
        expect("SharedSlabBuffer: 0x", in: result)
        expect("is linked anew while its chunk has other references", in: result)
    }

    @Test(arguments: [0, -1]) func aChainOfNoChunksTraps(chunkSize: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [chunkSize = chunkSize as Int] in
            _ = try SharedSlabArena().allocateChain(byteCount: 10, chunkSize: chunkSize)
        }
        expect("SharedSlabArena: a chain of chunks of \(chunkSize) bytes", in: result)
    }
}

/// Gives one block, which stays where it is.
final class OneBlock: Allocator, @unchecked Sendable {
    private let start: UnsafeMutableRawPointer

    init(_ start: UnsafeMutableRawPointer) { self.start = start }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {}
}
