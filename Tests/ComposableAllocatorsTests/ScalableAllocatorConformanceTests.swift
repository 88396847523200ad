// ScalableAllocator held to the contract over every kind of source.

import AllocatorTestKit
import Mallow
import Testing

@Suite struct ScalableAllocatorConformanceTests {
    /// Small children, so that sequences go through many of them; the largest requests have one alone.
    @Test(arguments: 1...2)
    func everySource(_ seed: UInt64) throws {
        try checkAllocator(seed: seed, sequences: 4) { ScalableAllocator() }
        try checkAllocator(seed: seed, sequences: 4) { try ScalableAllocator(initialSize: 1024, largestChild: 4096) }
        try checkAllocator(seed: seed, sequences: 4) {
            try ScalableAllocator(initialSize: 4096, largestChild: 16384, source: .pages, checked: true)
        }
        try checkAllocator(seed: seed, sequences: 4) { try ScalableAllocator(source: .withoutRecycling) }
        try checkAllocator(seed: seed, sequences: 4) {
            try ScalableAllocator(source: .upstream(ScalableAllocator()))
        }
    }

    @Test func blocksOfASharedMemory() throws {
        let memory = try SharedBuddyMemory(capacity: 8 << 20, buddySize: 1 << 20, smallestBlock: 4096)
        try checkAllocator(sequences: 4, maximumByteCount: 20000) {
            try SharedBuddyMemory(capacity: 8 << 20, buddySize: 1 << 20, smallestBlock: 4096)
        }
        try checkAllocator(sequences: 4) {
            try ScalableAllocator(initialSize: 4096, largestChild: 8192, source: .buddy(memory))
        }
        try memory.close()
        #expect(memory.pool.statistics.buddies == 0)
    }
}
