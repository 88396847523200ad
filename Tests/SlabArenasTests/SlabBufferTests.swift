// The handle that releases its reference: when it does, what it shows, and what it refuses.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabBufferTests {
    let arena: SlabArena

    init() throws { arena = try makeSmallArena() }

    private var live: Int { arena.statistics.liveBlocks }

    @Test func aHandleReleasesItsReferenceOnce() throws {
        do {
            let buffer = try arena.makeBuffer(byteCount: 20)
            #expect(live == 1 && buffer.count == 20 && buffer.isOnlyReference)
            do {
                let other = buffer.duplicate()
                #expect(live == 1 && !other.isOnlyReference && arena.handles == 2)
            }
            #expect(buffer.isOnlyReference && arena.handles == 1)
        }
        #expect(live == 0 && arena.handles == 0)
        let statistics = arena.slabStatistics
        #expect(statistics.referencesAdded == 1 && statistics.referencesReleased == 2)
        arena.checkInvariants()
        try arena.close()
    }

    @Test func aHandleKeepsItsArena() throws {
        let upstream = TrackingAllocator(upstream: SystemAllocator())
        weak var weakArena: SlabArena?
        do {
            var kept: SlabBuffer
            do {
                let arena = try makeSmallArena(upstream: upstream)
                weakArena = arena
                let first = try arena.makeBuffer(byteCount: 20)
                kept = first.slice(5..<10)
            }
            #expect(weakArena != nil)
            let second = kept.duplicate()
            kept = try second.copy()
            #expect(upstream.statistics.liveBlocks == 2 && kept.arena === weakArena)
        }
        #expect(weakArena == nil)
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test func consumingCallsKeepNothingToo() throws {
        let upstream = TrackingAllocator(upstream: SystemAllocator())
        weak var weakArena: SlabArena?
        do {
            let arena = try makeSmallArena(upstream: upstream)
            weakArena = arena
            let location = try arena.makeBuffer(byteCount: 20).store()
            #expect(arena.handles == 0 && arena.isLive(location))
            let bytes = try unwrap(arena.takeBuffer(at: location)).intoUnsafeBytes()
            #expect(arena.handles == 0 && bytes.count == 20)
            let adopted = arena.adopt(bytes)
            #expect(arena.handles == 1 && adopted.isOnlyReference)
        }
        #expect(weakArena == nil)
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test func spansShowTheBytes() throws {
        do {
            var buffer = try arena.makeBuffer(copying: ([1, 2, 3, 4, 5] as [UInt8]).span.bytes)
            #expect(buffer.span.byteCount == 5)
            #expect(buffer.span.unsafeLoad(fromByteOffset: 4, as: UInt8.self) == 5)
            var span = buffer.mutableSpan
            span.storeBytes(of: 9, toByteOffset: 0, as: UInt8.self)
            #expect(buffer.unsafeBytes.elementsEqual([9, 2, 3, 4, 5]))
            let empty = try arena.makeBuffer(byteCount: 0)
            #expect(empty.span.byteCount == 0 && empty.count == 0)
        }
        try arena.close()
    }

    @Test func slicesHaveReferencesOfTheirOwn() throws {
        do {
            var slice: SlabBuffer
            do {
                let bytes = [UInt8](0..<16)
                let buffer = try arena.makeBuffer(copying: bytes.span.bytes)
                slice = buffer.slice(4..<12)
                let first = buffer.slice(0..<0)
                let last = buffer.slice(16..<16)
                #expect(first.count == 0 && first.capacity == 16 && last.count == 0 && last.capacity == 1)
                #expect(arena.referenceCount(of: slice.unsafeBytes.baseAddress!) == 4)
            }
            #expect(slice.isOnlyReference && slice.count == 8 && slice.capacity == 12)
            #expect(slice.unsafeBytes.elementsEqual(4..<12))
            slice = slice.slice(2..<4)
            #expect(slice.unsafeBytes.elementsEqual([6, 7]))
            #expect(live == 1)
        }
        try arena.close()
    }

    @Test func shortensAndExtendsInItsChunk() throws {
        do {
            var buffer = try arena.makeBuffer(byteCount: 20)
            #expect(buffer.capacity == 32)
            buffer.extend(to: 32)
            buffer.shorten(to: 0)
            buffer.extend(to: 5)
            #expect(buffer.count == 5 && buffer.span.byteCount == 5)
            // The last chunk of a slab, and the largest.
            let large = try arena.makeBuffer(byteCount: 4096)
            #expect(large.capacity == 4096 && large.slice(4095..<4096).capacity == 1)
        }
        try arena.close()
    }

    @Test func aCopyIsItsOwn() throws {
        do {
            let buffer = try arena.makeBuffer(copying: ([1, 2, 3] as [UInt8]).span.bytes)
            let other = buffer.duplicate()
            var copy = try other.slice(1..<3).copy()
            var span = copy.mutableSpan
            span.storeBytes(of: 7, as: UInt8.self)
            #expect(copy.unsafeBytes.elementsEqual([7, 3]) && buffer.unsafeBytes.elementsEqual([1, 2, 3]))
        }
        try arena.close()
    }

    @Test func locationsAreMadeTakenAndFoundOut() throws {
        let location = try arena.makeBuffer(copying: ([1, 2, 3] as [UInt8]).span.bytes).store()
        do {
            let part = try unwrap(arena.makeBuffer(at: location.slice(1..<2)))
            #expect(part.unsafeBytes.elementsEqual([2]) && part.location == location.slice(1..<2))
            let record = arena.liveChunk(part.unsafeBytes.baseAddress!).record
            #expect(!record.state.isMovable)
        }
        do {
            let taken = try unwrap(arena.takeBuffer(at: location))
            #expect(taken.isOnlyReference == true)
            #expect(arena.takeBuffer(at: location)?.count == nil)
        }
        #expect(arena.makeBuffer(at: location)?.count == nil && arena.takeBuffer(at: location)?.count == nil)
        #expect(arena.makeBuffer(at: .nil)?.count == nil && arena.takeBuffer(at: .nil)?.count == nil)
        try arena.close()
    }

    /// A span of a handle that has the only reference is not read through another.
    @Test func noHandleIsMadeAtALocationThatHoldsNothing() throws {
        do {
            var buffer = try arena.makeBuffer(copying: ([1, 2, 3] as [UInt8]).span.bytes)
            let location = buffer.location
            var span = buffer.mutableSpan
            #expect(arena.makeBuffer(at: location)?.count == nil && arena.makeItem(at: location)?.count == nil)
            span.storeBytes(of: 7, as: UInt8.self)
            #expect(buffer.isOnlyReference && arena.isLive(location))
            // What a link leads to is no location's, either.
            buffer.setNext(try arena.makeBuffer(byteCount: 5))
            let next = try unwrap(buffer.next()?.location)
            #expect(arena.makeBuffer(at: next)?.count == nil)
        }
        do {
            // The location's reference is another than the handle's: who reads by it keeps the handle from writing.
            let buffer = try arena.makeBuffer(byteCount: 3)
            let location = buffer.duplicate().store()
            do {
                let other = arena.makeBuffer(at: location)
                #expect(other != nil && arena.referenceCount(of: buffer.unsafeBytes.baseAddress!) == 3)
            }
            arena.release(at: location)
            #expect(buffer.isOnlyReference && arena.makeBuffer(at: location)?.count == nil)
        }
        try arena.close()
    }

    @Test func handlesAreLinked() throws {
        do {
            var head = try arena.makeBuffer(byteCount: 10)
            do {
                let second = try arena.makeBuffer(byteCount: 20)
                head.setNext(second)
            }
            #expect(live == 2)
            let next = try unwrap(head.next())
            #expect(next.count == 20 && next.next()?.count == nil)
            let other = head.duplicate()
            // The first link of a chunk that others have, too.
            var last = next.duplicate()
            last.setNext(try arena.makeBuffer(byteCount: 30))
            #expect(live == 3 && other.next()?.next()?.count == 30)
        }
        #expect(live == 0)
        do {
            var head = try arena.makeBuffer(byteCount: 10)
            head.setNext(try arena.makeBuffer(byteCount: 20))
            head.setNext(try arena.makeBuffer(byteCount: 30))
            #expect(live == 2 && head.next()?.count == 30)
            head.removeNext()
            #expect(live == 1 && head.next()?.count == nil)
            head.removeNext()
        }
        try arena.close()
    }

    @Test func whatIsRefusedThrowsAndLosesNothing() throws {
        let arena = try makeSmallArena(upstream: FailingAllocator(plan: .after(1)))
        do {
            let buffer = try arena.makeBuffer(byteCount: 4096)
            do throws(AllocationError) {
                _ = try arena.makeBuffer(byteCount: 4097)
                Issue.record("larger than a slab")
            } catch { #expect(error.reason == .tooLarge(limit: 4096)) }
            do throws(AllocationError) {
                _ = try buffer.copy()
                Issue.record("a second slab")
            } catch { #expect(error.reason == .outOfMemory) }
            #expect(arena.handles == 1)
        }
        try arena.close()
    }

    @Test func manyHandlesComeAndGo() throws {
        var random = SeededGenerator(seed: 3)
        let slots = UnsafeMutableBufferPointer<SlabBuffer?>.allocate(capacity: 50)
        for index in slots.indices { slots.initializeElement(at: index, to: nil) }
        for step in 0..<5000 {
            let (index, other) = (Int.random(in: 0..<50, using: &random), Int.random(in: 0..<50, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: slots[index] = nil
            case 1: slots[index] = try arena.makeBuffer(byteCount: Int.random(in: 1...500, using: &random))
            case 2: slots[index] = slots[other]?.duplicate()
            default:
                guard let count = slots[other]?.count, count > 0 else { continue }
                slots[index] = slots[other]?.slice(Int.random(in: 0..<count, using: &random)..<count)
            }
            #expect(slots.indices.count { slots[$0] != nil } == arena.handles)
            if step % 50 == 0, let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        }
        slots.deinitialize()
        slots.deallocate()
        #expect(arena.handles == 0)
        try arena.close()
    }
}

@Suite struct SlabBufferTrapTests {
    @Test func writingWhatOthersHaveTraps() async {
        let shared = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = try makeSmallArena().makeBuffer(byteCount: 20)
            let other = buffer.slice(3..<4)
            var span = buffer.mutableSpan
            span.storeBytes(of: 1, as: UInt8.self)
            print(other.count)
        }
        expectMessage(shared, "SlabBuffer: 0x")
        expectMessage(shared, "is written while its chunk has other references: copy it first")
        let link = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            var buffer = try arena.makeBuffer(byteCount: 20)
            buffer.setNext(try arena.makeBuffer(byteCount: 20))
            let other = buffer.duplicate()
            buffer.setNext(try arena.makeBuffer(byteCount: 20))
            print(other.count)
        }
        expectMessage(link, "is linked anew while its chunk has other references")
        let end = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            var buffer = try arena.makeBuffer(byteCount: 20)
            buffer.setNext(try arena.makeBuffer(byteCount: 20))
            let other = buffer.duplicate()
            buffer.removeNext()
            print(other.count)
        }
        expectMessage(end, "is linked anew while its chunk has other references")
        let itself = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = try makeSmallArena().makeBuffer(byteCount: 20)
            buffer.setNext(buffer.duplicate())
        }
        expectMessage(itself, "is linked to itself")
    }

    @Test func wrongLengthsTrap() async {
        let slice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().makeBuffer(byteCount: 20).slice(5..<21)
        }
        expectMessage(slice, "SlabBuffer: a slice of 5..<21 of 20 bytes")
        let before = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().makeBuffer(byteCount: 20).slice(-1..<2)
        }
        expectMessage(before, "SlabBuffer: a slice of -1..<2 of 20 bytes")
        let shortened = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = try makeSmallArena().makeBuffer(byteCount: 20)
            buffer.shorten(to: 21)
        }
        expectMessage(shortened, "SlabBuffer: 20 bytes shortened to 21, in a chunk with room for 32")
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = try makeSmallArena().makeBuffer(byteCount: 20)
            buffer.shorten(to: -1)
        }
        expectMessage(negative, "SlabBuffer: 20 bytes shortened to -1")
        let extended = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = try makeSmallArena().makeBuffer(byteCount: 20).slice(4..<8)
            buffer.extend(to: 29)
        }
        expectMessage(extended, "SlabBuffer: 4 bytes extended to 29, in a chunk with room for 28")
        let less = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = try makeSmallArena().makeBuffer(byteCount: 20)
            buffer.extend(to: 19)
        }
        expectMessage(less, "SlabBuffer: 20 bytes extended to 19")
        let made = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().makeBuffer(byteCount: -1)
        }
        expectMessage(made, "SlabArena: a request for a negative number of bytes (-1)")
    }

    @Test func whatIsNotACallersTraps() async {
        let stored = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let buffer = try makeSmallArena().makeBuffer(byteCount: 20)
            let other = buffer.duplicate()
            _ = buffer.store()
            _ = other.store()
        }
        expectMessage(stored, "is held by a location already")
        let adopted = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let chunk = try arena.allocateChunk(byteCount: 32)
            _ = arena.adopt(UnsafeMutableRawBufferPointer(start: chunk.baseAddress! + 1, count: 32))
        }
        expectMessage(adopted, "is a buffer that goes beyond its chunk")
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try makeSmallArena().adopt(UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8))
        }
        expectMessage(foreign, "is not of this arena")
        let freed = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let buffer = try arena.makeBuffer(byteCount: 20)
            arena.freeAll()
            print(buffer.count)
        }
        expectMessage(freed, "is not of this arena")
        let released = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = try makeSmallArena()
            let buffer = try arena.makeBuffer(byteCount: 20)
            let other = try arena.makeBuffer(byteCount: 20)
            arena.release(buffer.unsafeBytes)
            print(buffer.count, other.count)
        }
        expectMessage(released, "is not live: its last reference was released already")
    }
}
