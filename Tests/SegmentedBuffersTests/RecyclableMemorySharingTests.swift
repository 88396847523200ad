// Buffers that are another's, that are shared, and that become segments.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct RecyclableMemorySharingTests {
    @Test func foreignBytesAreNotGivenBack() throws {
        let source = CountingSource()
        let other = CountingSource()
        weak var witness: Witness?
        var memory = RecyclableMemory(allocator: source)
        let foreign = try other.allocate(byteCount: 20)
        foreign.initializeMemory(as: UInt8.self, repeating: 9)
        do {
            let owner = Witness()
            witness = owner
            memory.push(UnsafeRawBufferPointer(rebasing: foreign[0..<10]), ownedBy: owner)
        }
        memory.push(unowned: UnsafeRawBufferPointer(rebasing: foreign[10..<20]))
        memory.push(unowned: UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(
            memory.count == 3 && !memory.isWritable(at: 0) && !memory.isWritable(at: 1) && memory.byteCount == 20
                && witness != nil)
        #expect(memory.ownership(at: 0) == .counted && memory.ownership(at: 1) == .foreign)
        do {
            let share = memory.share()
            #expect(share.count == 3 && share[1].baseAddress == foreign.baseAddress! + 10)
            memory.recycle()
            #expect(witness != nil && memory.isEmpty, "the share keeps the owner alive")
        }
        #expect(witness == nil && source.live.isEmpty && other.live.count == 1)
        #expect(foreign.allSatisfy { $0 == 9 })
        other.deallocate(foreign)
    }

    @Test func sharingCountsAndCopyingCopies() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        try memory.add(1, 2, 3)
        try memory.add()
        try memory.add(4, 5)
        var share = memory.share()
        #expect(source.live.count == 3 && share[0].baseAddress == memory[0].baseAddress && memory.isShared(at: 0))
        var again = share.share()
        #expect(again.brokenInvariant() == nil && share.brokenInvariant() == nil && memory.brokenInvariant() == nil)
        memory.recycle()
        share.recycle()
        #expect(source.live.count == 3 && !again.isShared(at: 2) && again[2].elementsEqual([4, 5]))
        let copy = try again.copy()
        #expect(source.live.count == 6 && copy[0].elementsEqual([1, 2, 3]) && copy.byteCount == 5)
        #expect(copy[0].baseAddress != again[0].baseAddress && copy.ownership(at: 0) == .own)
        again.recycle()
        #expect(source.live.count == 3 && copy[2].elementsEqual([4, 5]))
    }

    @Test func segmentsTakeTheMemoryWithThem() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        let object = Witness()
        let foreign = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
        defer { foreign.deallocate() }
        foreign.initializeMemory(as: UInt8.self, repeating: 7)
        try memory.add(1, 2, 3)
        try memory.add()
        memory.push(UnsafeRawBufferPointer(foreign), ownedBy: object)
        memory.push(unowned: UnsafeRawBufferPointer(foreign))
        memory.setKept(true, at: 0)
        var shared = memory.shareSegments()
        #expect(shared.count == 11 && contents(shared) == [1, 2, 3, 7, 7, 7, 7, 7, 7, 7, 7])
        #expect(memory.count == 4 && source.live.count == 2 && memory.brokenInvariant() == nil)
        var taken = memory.takeSegments()
        #expect(memory.isEmpty && memory.brokenInvariant() == nil && contents(taken) == contents(shared))
        #expect(source.live.count == 1, "an empty buffer goes back at once")
        shared = SegmentedBuffer()
        #expect(source.live.count == 1 && taken.count == 11)
        // Back into a sequence: its segments are counted.
        memory.append(taken)
        taken = SegmentedBuffer()
        #expect(
            memory.byteCount == 11 && source.live.count == 1 && memory.isWritable(at: 0) && !memory.isWritable(at: 1))
        memory.recycle()
        #expect(source.live.isEmpty && memory.brokenInvariant() == nil)
    }
}

private final class Witness {}
