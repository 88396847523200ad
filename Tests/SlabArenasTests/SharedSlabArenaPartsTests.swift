// The parts of a shared arena that threads use without a lock: numbers of threads, counters, the set of bases.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import ComposableAllocators
@testable import SlabArenas

@Suite struct SharedSlabArenaPartsTests {
    @Test func threadNumbersAreOfOneLivingThreadEach() {
        let numbers = Guarded<[Int: Int]>([:])
        let wrong = Guarded(0)
        for _ in 0..<20 {
            onSharingThreads(8) { thread in
                let number = ThreadNumbers.own()
                numbers.withLock {
                    if $0[number] != nil { wrong.withLock { $0 += 1 } }
                    $0[number] = thread
                }
                for _ in 0..<100 where ThreadNumbers.own() != number { wrong.withLock { $0 += 1 } }
                numbers.withLock { $0[number] = nil }
            }
        }
        #expect(wrong.withLock { $0 } == 0)
    }

    /// More threads at once than there are lines of their own to count in.
    @Test func manyThreadsCountExactly() throws {
        let arena = try SharedSlabArena(slabSize: 4096, shardCount: 1, upstream: SystemAllocator())
        let chunk = SharedChunk(buffer: try arena.allocateChunk(byteCount: 64), id: 0)
        let started = Guarded(0)
        onSharingThreads(80) { _ in
            arena.addReference(chunk.buffer)
            started.withLock { $0 += 1 }
            while started.withLock({ $0 }) < 80 { usleep(100) }
            for _ in 0..<200 {
                arena.addReference(chunk.buffer)
                arena.release(chunk.buffer)
            }
            arena.release(chunk.buffer)
        }
        #expect(arena.slabStatistics.referencesAdded == 80 * 201)
        #expect(arena.slabStatistics.referencesReleased == 80 * 201)
        #expect(arena.release(chunk.buffer))
        try arena.close()
    }

    @Test func aSetOfBasesIsSearchedWhileItChanges() {
        let set = SlabBaseSet()
        let stable = (1...200).map { UInt($0) << 20 | 1 << 12 }
        for base in stable { #expect(set.insert(base)) }
        let wrong = Guarded(0)
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            if thread < 2 {
                var own: [UInt] = []
                for step in 0..<4000 {
                    if own.isEmpty || step % 3 != 0 {
                        let base = (random.next() >> 20) << 20 | UInt64(thread) << 16
                        if base == 0 || own.contains(UInt(base)) { continue }
                        own.append(UInt(base))
                        if !set.insert(UInt(base)) || !set.contains(UInt(base)) { wrong.withLock { $0 += 1 } }
                    } else {
                        let base = own.removeFirst()
                        set.remove(base)
                        if set.contains(base) { wrong.withLock { $0 += 1 } }
                    }
                }
                for base in own { set.remove(base) }
            } else {
                for step in 0..<20_000 {
                    if !set.contains(stable[step % stable.count]) { wrong.withLock { $0 += 1 } }
                    if set.contains(stable[step % stable.count] + 16) { wrong.withLock { $0 += 1 } }
                }
            }
        }
        #expect(wrong.withLock { $0 } == 0)
        #expect(set.count == stable.count)
    }
}
