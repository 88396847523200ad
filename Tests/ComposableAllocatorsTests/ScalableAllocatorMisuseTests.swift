// Misuse of ScalableAllocator ends the program, with a message that names the allocator, the pointer and what is wrong.

import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct ScalableAllocatorMisuseTests {
    /// Each in a process of its own: what is done wrong, and what the message says.
    @Test func pointersThatAreNoBlocks() async {
        let freedTwice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            let blocks = try (0..<3).map { _ in try allocator.allocate(byteCount: 64) }
            allocator.deallocate(blocks[1])
            allocator.deallocate(blocks[1])
        }
        #expect(says(freedTwice?.standardErrorContent, "ScalableAllocator: 0x"))
        #expect(says(freedTwice?.standardErrorContent, "was freed or recycled already, or never was a block"))
        // The last block, which no bit marks.
        let lastTwice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            let block = try allocator.allocate(byteCount: 64)
            allocator.deallocate(block)
            allocator.deallocate(block)
        }
        #expect(says(lastTwice?.standardErrorContent, "was freed or recycled already, or never was a block"))
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            let block = try allocator.allocate(byteCount: 64)
            allocator.deallocate(block.baseAddress! + 16)
        }
        #expect(says(inside?.standardErrorContent, "points inside a block"))
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocators = [ScalableAllocator(), ScalableAllocator()]
            _ = try allocators[1].allocate(byteCount: 64)
            allocators[1].deallocate(try allocators[0].allocate(byteCount: 64))
        }
        #expect(says(foreign?.standardErrorContent, "is not of this allocator"))
        let recycled = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            let block = try allocator.allocate(byteCount: 64)
            allocator.recycle()
            allocator.deallocate(block)
        }
        #expect(says(recycled?.standardErrorContent, "was freed or recycled already, or never was a block"))
    }

    @Test func partsThatAreOfNoBlock() async {
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            let blocks = try (0..<2).map { _ in try allocator.allocate(byteCount: 64) }
            allocator.deallocate(part: UnsafeMutableRawBufferPointer(start: blocks[0].baseAddress! + 32, count: 48))
        }
        #expect(says(beyond?.standardErrorContent, "begins a part that reaches beyond its block"))
        let freed = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            let block = try allocator.allocate(byteCount: 64)
            let part = UnsafeMutableRawBufferPointer(rebasing: block[16..<32])
            allocator.deallocate(part: part)
            allocator.deallocate(part: part)
        }
        #expect(says(freed?.standardErrorContent, "was freed already: no part of a block begins there"))
        let more = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = ScalableAllocator()
            allocator.freeRest(of: try allocator.allocate(byteCount: 64).baseAddress!, keeping: 65)
        }
        #expect(says(more?.standardErrorContent, "is a block of fewer bytes than are to be kept"))
        let filled = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try ScalableAllocator().read(upTo: 10) { $0.count + 1 }
        }
        #expect(says(filled?.standardErrorContent, "a read into 10 bytes is said to have filled 11"))
    }

    @Test func sharedMemoryAndAllocators() async {
        let unknown = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let shared = try SharedScalableAllocator(shards: 2)
            shared.deallocate(try SystemAllocator().allocate(byteCount: 64))
        }
        #expect(says(unknown?.standardErrorContent, "SharedScalableAllocator: 0x"))
        #expect(says(unknown?.standardErrorContent, "is not of this allocator"))
        // What a shard finds out is told in the name of all of them.
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let shared = try SharedScalableAllocator(shards: 2)
            let blocks = try (0..<2).map { _ in try shared.allocate(byteCount: 64) }
            shared.deallocate(blocks[0])
            shared.deallocate(blocks[0])
        }
        #expect(says(twice?.standardErrorContent, "SharedScalableAllocator: 0x"))
        #expect(says(twice?.standardErrorContent, "was freed or recycled already, or never was a block"))
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let shared = try SharedScalableAllocator(shards: 1)
            let block = try shared.allocate(byteCount: 64)
            shared.deallocate(part: UnsafeMutableRawBufferPointer(start: block.baseAddress!, count: 80))
        }
        #expect(says(beyond?.standardErrorContent, "SharedScalableAllocator: 0x"))
        #expect(says(beyond?.standardErrorContent, "begins a part that reaches beyond its block"))
        let buddy = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let memory = try SharedBuddyMemory()
            let block = try memory.allocate(byteCount: 100)
            memory.deallocate(block)
            memory.deallocate(block)
        }
        #expect(says(buddy?.standardErrorContent, "SharedBuddyMemory: 0x"))
        #expect(says(buddy?.standardErrorContent, "is no block of this memory, or was freed already"))
    }
}
