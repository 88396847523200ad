// Misuse of a slab arena ends the program with a line that says what is wrong, in debug and in release builds.

import Foundation
import Mallow
import Testing

@testable import SlabArenas

/// What can be done wrong.
enum SlabMisuse: String, CaseIterable, Codable {
    case releaseWhatIsFree, releaseTwice, deallocateTwice, deallocateInside, deallocateWhatIsFree
    case releaseOfAnotherArena, deallocateOfAnotherArena, releaseMalloc, releaseStack, releaseUnmapped, releaseOne
    case releaseTop, releaseHeader, releaseEndOfSlab, releaseWhatWasNeverUsed, releaseAfterFreeAll, releaseAfterTrim
    case releaseRetired, releaseNext
    case addReferenceToFree, addReferenceToForeign, tooManyReferences, tooManyReferencesByLocation
    case releaseStaleLocation, releaseLocationOfAnother, releaseMadeUpLocation, releaseLocationTwice
    case storeTwice, storePartOfWhatIsStored, storeBeyond, storeFree, storeForeign
    case linkToItself, linkBeyond, linkOfFree, linkToFree, linkToAnotherArena, nextOfFree, nextOfForeign
    case byteCountOfFree, byteCountOfForeign, countOfFree, resizeFree, resizeForeign
    case negativeAllocate, negativeTryAllocate, negativeChunk, negativeTryChunk, negativeResize, negativePrefill
    case sliceBeyond, sliceBefore
    case rebalanceBeyond, rebalanceNegative, negativeMoves, sharedRebalanceBeyond, sharedRebalanceNegative
    case deallocateNoSlabOfAFile
    case sharedSliceBeyond, sharedShortenBeyond, sharedExtendBeyond

    var message: String {
        switch self {
        case .releaseWhatIsFree, .releaseTwice, .deallocateTwice, .deallocateWhatIsFree, .addReferenceToFree,
            .storeFree, .linkOfFree, .linkToFree, .nextOfFree, .byteCountOfFree, .countOfFree, .resizeFree,
            .releaseRetired, .releaseNext:
            " is not live: its last reference was released already"
        case .releaseOfAnotherArena, .deallocateOfAnotherArena, .releaseMalloc, .releaseStack, .releaseUnmapped,
            .releaseOne, .releaseTop, .releaseHeader, .releaseEndOfSlab, .releaseAfterFreeAll, .releaseAfterTrim,
            .addReferenceToForeign, .storeForeign, .linkToAnotherArena, .nextOfForeign, .byteCountOfForeign,
            .resizeForeign:
            " is not of this arena"
        case .deallocateInside: " points into a chunk, not to its start"
        case .releaseWhatWasNeverUsed: " was never allocated"
        case .tooManyReferences, .tooManyReferencesByLocation: " has as many references as can be counted"
        case .releaseStaleLocation, .releaseLocationOfAnother, .releaseMadeUpLocation, .releaseLocationTwice:
            " is not live: it outlived its chunk, or is another arena's"
        case .storeTwice, .storePartOfWhatIsStored: " is held by a location already"
        case .storeBeyond, .linkBeyond: " is a buffer that goes beyond its chunk"
        case .linkToItself: " is linked to itself"
        case .negativeAllocate, .negativeTryAllocate, .negativeChunk, .negativeTryChunk, .negativePrefill,
            .negativeResize:
            ": a request for a negative number of bytes (-1)"
        case .sliceBeyond, .sliceBefore: "SlabLocation: a slice ("
        case .rebalanceBeyond: "SlabArena: rebalance to 4145 bytes, for which there is no class"
        case .rebalanceNegative: "SlabArena: rebalance to -1 bytes, for which there is no class"
        case .sharedRebalanceBeyond: "SharedSlabArena: rebalance to 4097 bytes, for which there is no class"
        case .sharedRebalanceNegative: "SharedSlabArena: rebalance to -1 bytes, for which there is no class"
        case .deallocateNoSlabOfAFile: " is not a slab of this file"
        case .negativeMoves: "SlabAutomaticRebalancing: a negative number of moves (-1 a second, 5)"
        case .sharedSliceBeyond: "SharedSlabBuffer: a slice of 5..<61 of 60 bytes"
        case .sharedShortenBeyond: "SharedSlabBuffer: 60 bytes shortened to 61"
        case .sharedExtendBeyond: "SharedSlabBuffer: 60 bytes extended to 65, with room for 64"
        }
    }

    /// What the arena that it is done to is made like: chunks of 64 bytes, and some of each size in use.
    private func makeArena() throws -> SlabArena {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4144, growthFactor: 2, upstream: SystemAllocator())
        arena.emptySlabDelay = nil
        for size in arena.chunkSizes { _ = try arena.allocateChunk(byteCount: size) }
        return arena
    }

    func commit() throws {
        let arena = try makeArena()
        let other = try makeArena()
        let chunk = try arena.allocateChunk(byteCount: 60)
        let second = try arena.allocateChunk(byteCount: 60)
        let foreign = try other.allocateChunk(byteCount: 60)
        let free = try arena.allocateChunk(byteCount: 60)
        let start = chunk.baseAddress!
        let base = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: start) & arena.baseMask)!
        let beyond = UnsafeMutableRawBufferPointer(start: start + 8, count: 60)
        let location = arena.location(of: chunk)
        arena.release(free)
        try commit(arena, chunk, second, free, foreign, base, beyond, location)
        withExtendedLifetime((arena, other)) {}
    }

    private func commit(
        _ arena: SlabArena, _ chunk: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer,
        _ free: UnsafeMutableRawBufferPointer, _ foreign: UnsafeMutableRawBufferPointer,
        _ base: UnsafeMutableRawPointer, _ beyond: UnsafeMutableRawBufferPointer, _ location: SlabLocation
    ) throws {
        let start = chunk.baseAddress!
        func address(_ bits: UInt) -> UnsafeRawPointer { UnsafeRawPointer(bitPattern: bits)! }
        switch self {
        case .releaseWhatIsFree: arena.release(free)
        case .releaseTwice: for _ in 0..<2 { arena.release(chunk) }
        case .deallocateTwice: for _ in 0..<2 { arena.deallocate(chunk) }
        case .deallocateInside: arena.deallocate(start + 1)
        case .deallocateWhatIsFree: arena.deallocate(free.baseAddress! + 8)
        case .releaseOfAnotherArena: arena.release(foreign)
        case .deallocateOfAnotherArena: arena.deallocate(foreign)
        case .releaseMalloc:
            let block = try SystemAllocator().allocate(byteCount: 64, alignment: 64)
            arena.release(block)
        case .releaseStack: withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { _ = arena.release($0) }
        case .releaseUnmapped: arena.release(address(0x1234_5678_9000))
        case .releaseOne: arena.release(address(1))
        case .releaseTop: arena.release(address(.max))
        case .releaseHeader: arena.release(base + 4144)
        case .releaseEndOfSlab: arena.release(base + 4143)
        case .releaseWhatWasNeverUsed: arena.release(base + 60 * 64)
        case .releaseAfterFreeAll:
            arena.freeAll()
            arena.release(chunk)
        case .releaseAfterTrim:
            let large = try arena.allocateChunk(byteCount: 4144)
            arena.release(large)
            arena.trim()
            arena.release(large)
        case .releaseRetired:
            let slab = arena.slots[location.slab].slab!
            slab.pointee.freeHead = noChunk
            let index = slab.chunkIndex(offset: UInt(location.position))
            slab.records[index].state |= UInt64(ChunkRecord.lastGeneration) << 33
            for _ in 0..<2 { arena.release(chunk) }
        case .releaseNext:
            // The chunk's own reference is the link's from here on.
            arena.setNext(second, of: chunk)
            arena.release(second)
            arena.release(chunk)
            arena.release(second)
        case .addReferenceToFree: arena.addReference(free)
        case .addReferenceToForeign: arena.addReference(foreign)
        case .tooManyReferences, .tooManyReferencesByLocation:
            arena.liveChunk(start).record.pointee.state += UInt64(UInt32.max) - 1
            guard arena.referenceCount(of: start) == Int(UInt32.max) else { return }
            if self == .tooManyReferences { arena.addReference(chunk) } else { arena.addReference(at: location) }
        case .releaseStaleLocation:
            arena.release(chunk)
            arena.release(at: location)
        case .releaseLocationOfAnother:
            let more = try SlabArena(startChunkSize: 64, slabSize: 4144, upstream: SystemAllocator())
            more.release(at: location)
        case .releaseMadeUpLocation:
            arena.release(at: SlabLocation(slab: 0, position: .max, length: .max, generation: 1))
        case .releaseLocationTwice: for _ in 0..<2 { arena.release(at: location) }
        case .storeTwice: for _ in 0..<2 { _ = arena.store(chunk) }
        case .storePartOfWhatIsStored:
            arena.addReference(chunk)
            _ = arena.store(chunk)
            _ = arena.store(UnsafeMutableRawBufferPointer(rebasing: chunk[10..<20]))
        case .storeBeyond: _ = arena.store(beyond)
        case .storeFree: _ = arena.store(free)
        case .storeForeign: _ = arena.store(foreign)
        case .linkToItself: arena.setNext(UnsafeMutableRawBufferPointer(rebasing: chunk[10..<20]), of: chunk)
        case .linkBeyond: arena.setNext(beyond, of: second)
        case .linkOfFree: arena.setNext(chunk, of: free)
        case .linkToFree: arena.setNext(free, of: chunk)
        case .linkToAnotherArena: arena.setNext(foreign, of: chunk)
        case .nextOfFree: _ = arena.next(of: free)
        case .nextOfForeign: _ = arena.next(of: foreign)
        case .byteCountOfFree: _ = arena.byteCount(of: free.baseAddress!)
        case .byteCountOfForeign: _ = arena.byteCount(of: foreign.baseAddress!)
        case .countOfFree: _ = arena.referenceCount(of: free.baseAddress!)
        case .resizeFree: _ = arena.resize(free.baseAddress!, byteCount: 1)
        case .resizeForeign: _ = arena.resize(foreign.baseAddress!, byteCount: 1)
        case .negativeAllocate: _ = try arena.allocate(byteCount: -1, alignment: 8)
        case .negativeTryAllocate: _ = arena.tryAllocate(byteCount: -1, alignment: 8)
        case .negativeChunk: _ = try arena.allocateChunk(byteCount: -1)
        case .negativeTryChunk: _ = arena.tryAllocateChunk(byteCount: -1)
        case .negativeResize: _ = arena.resize(start, byteCount: -1)
        case .negativePrefill: try arena.prefill(byteCount: -1, chunkCount: 1)
        case .sliceBeyond: _ = location.slice(0..<61)
        case .sliceBefore: _ = location.slice(-1..<3)
        case .rebalanceBeyond: arena.rebalance(to: 4145) { _, _ in }
        case .rebalanceNegative: arena.rebalance(to: -1) { _, _ in }
        case .negativeMoves: arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: -1, burst: 5)
        case .deallocateNoSlabOfAFile:
            try withFile { path in
                let file = try SlabFile(creating: path, slabSize: 4096)
                // A chunk of the arena in the file, not the extent that its slab is.
                let chunk = try file.arena.allocateChunk(byteCount: 4096)
                file.extents.deallocate(chunk.baseAddress! + 64)
            }
        case .sharedRebalanceBeyond, .sharedRebalanceNegative, .sharedSliceBeyond, .sharedShortenBeyond,
            .sharedExtendBeyond:
            let shared = try SharedSlabArena(startChunkSize: 64, slabSize: 4096, upstream: SystemAllocator())
            var buffer = try shared.makeBuffer(byteCount: 60)
            switch self {
            case .sharedRebalanceBeyond: shared.rebalance(to: 4097) { _, _ in }
            case .sharedRebalanceNegative: shared.rebalance(to: -1) { _, _ in }
            case .sharedSliceBeyond: _ = buffer.slice(5..<61)
            case .sharedShortenBeyond: buffer.shorten(to: 61)
            default: buffer.extend(to: 65)
            }
        }
    }
}

@Suite struct SlabMisuseTests {
    @Test(arguments: SlabMisuse.allCases) func misuseTraps(_ misuse: SlabMisuse) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [misuse] in
            try misuse.commit()
            // Whoever comes here did not trap.
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains(misuse.message) && text.contains("Slab"), "\(misuse): \(text)")
        // By the trap, not by an error that was thrown.
        #expect(text.contains("Fatal error"), "\(misuse): \(text)")
    }

    /// By a trap: the standard library's in a debug build, the arena's in a release build; not by an error before.
    @Test func aBufferWithoutMemoryIsNoChunk() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.exitStatus, \.standardErrorContent]) {
            let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, upstream: SystemAllocator())
            _ = try arena.allocateChunk(byteCount: 1)
            FileHandle.standardError.write(Data("released now\n".utf8))
            // Nothing, which the compiler does not know.
            let nothing = UnsafeMutableRawPointer(bitPattern: CommandLine.arguments.count >> 32)
            arena.release(UnsafeMutableRawBufferPointer(start: nothing, count: 0))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("released now"), "\(text)")
        #expect(result.map { [.signal(SIGILL), .signal(SIGTRAP)].contains($0.exitStatus) } == true, "\(text)")
    }

    /// What is no misuse is not taken for one.
    @Test func askingAboutAnyAddressIsHarmless() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 64)
        for bits in [1, 7, 4096, 0x1234_5678_9000, UInt.max, UInt.max - 8191, 1 << 63] {
            let pointer = UnsafeMutableRawPointer(bitPattern: bits)!
            #expect(!arena.owns(pointer) && !arena._owns(pointer) && !arena._deallocateIfOwned(pointer))
            #expect(arena.location(of: UnsafeMutableRawBufferPointer(start: pointer, count: 8)).isNil)
        }
        #expect(arena.owns(chunk.baseAddress!) && arena.owns(chunk.baseAddress! + 63))
        #expect(arena._deallocateIfOwned(chunk.baseAddress!))
        // Its memory is still the arena's.
        #expect(arena.owns(chunk.baseAddress!))
        try arena.close()
        #expect(!arena.owns(chunk.baseAddress!) && !arena._deallocateIfOwned(chunk.baseAddress!))
    }
}
