// SharedScalableAllocator: the contract, threads that pass blocks to one another, and parts that others free.

import AllocatorTestKit
import Mallow
import Testing

@testable import ComposableAllocators

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct SharedScalableTests {
    @Test func conformance() throws {
        try checkAllocator(sequences: 2) { try SharedScalableAllocator(shards: 2) }
        try checkAllocator(sequences: 2) { try SharedScalableAllocator(shards: 1, source: .pages) }
        try checkAllocator(sequences: 2) { try SharedScalableAllocator(source: .withoutRecycling) }
    }

    @Test func threadsPassBlocks() throws {
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(shards: 3) }
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(shards: 2, source: .pages) }
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(source: .withoutRecycling) }
        let memory = try SharedBuddyMemory(capacity: 64 << 20, buddySize: 1 << 20)
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(shards: 2, source: .buddy(memory)) }
        try memory.close()
        try checkSharedAllocator(steps: 500, maximumByteCount: 30000) {
            try SharedBuddyMemory(capacity: 1 << 30, buddySize: 1 << 20, smallestBlock: 4096)
        }
    }
}
