// A pool of buddies: when they come and go, what is refused, and several threads that write to what they are given.

import Dispatch
import RangeAllocators
import Synchronization
import Testing

@Suite struct BuddyPoolTests {
    @Test func buddiesAreAddedWhenAllAreFullAndDroppedBeyondTheReserve() throws {
        let pool = try BuddyPool(buddySize: 64, smallestBlock: 4, limit: 3, reserve: 1)
        var blocks: [BuddyBlock] = []
        for number in 0..<3 {
            for _ in 0..<2 {
                let block = try pool.allocate(32)
                #expect(block.buddy == number)
                #expect(block.range.count == 32)
                blocks.append(block)
            }
        }
        #expect(throws: BuddyError.noRoom(count: 1)) { try pool.allocate(1) }
        #expect(pool.tryAllocate(33) == nil)
        #expect(pool.statistics.usedCount == 192)
        #expect(pool.statistics.freeCount == 0)
        // The first with room serves.
        try pool.deallocate(blocks[1])
        try pool.deallocate(blocks[5])
        let start = blocks[1].range.lowerBound
        #expect(try pool.allocate(5) == BuddyBlock(buddy: 0, range: start..<start + 8))
        try pool.deallocate(start, inBuddy: 0)
        #expect(pool.brokenInvariant() == nil)
        // One empty buddy stays, the next one goes: the last of them.
        for block in [blocks[2], blocks[3]] { try pool.deallocate(block) }
        #expect(pool.statistics.buddies == 3)
        #expect(pool.statistics.buddiesAdded == 3)
        #expect(pool.statistics.emptyBuddies == 1)
        try pool.deallocate(blocks[4])
        #expect(pool.statistics.buddies == 2)
        #expect(pool.statistics.keptBuddies == 1)
        #expect(pool.statistics.buddiesDropped == 1)
        try pool.deallocate(blocks[0])
        #expect(pool.statistics.buddies == 1)
        #expect(pool.brokenInvariant() == nil)
        #expect(pool.trim() == 1)
        #expect(pool.statistics.buddies == 0)
        #expect(pool.statistics.metadataByteCount == 0)
        #expect(pool.brokenInvariant() == nil)
        #expect(try pool.allocate(64).buddy == 0)
        let last = pool.statistics
        #expect((last.buddiesAdded, last.buddiesDropped) == (4, 3))
        let text =
            "64 in use and 0 free in 1 buddies (0 of them empty, 4 added and 3 dropped so far), 0 taken, 0 kept, "
        #expect("\(last)" == text + "\(last.metadataByteCount) bytes of records")
    }

    @Test func whatIsRefusedChangesNothing() throws {
        let pool = try BuddyPool(buddySize: 100, smallestBlock: 4, limit: 4, reserve: 0)
        let block = try pool.allocate(10)
        let start = block.range.lowerBound
        let before = pool.statistics
        func refused(_ error: BuddyError, _ body: () throws -> Void) {
            #expect(throws: error, performing: body)
            #expect(pool.statistics == before)
            #expect(pool.brokenInvariant() == nil)
        }
        refused(.tooLarge(count: 65, largestBlock: 64)) { _ = try pool.allocate(65) }
        refused(.tooLarge(count: .max, largestBlock: 64)) { _ = try pool.allocate(.max) }
        refused(.unknownBuddy(1)) { try pool.deallocate(BuddyBlock(buddy: 1, range: block.range)) }
        refused(.unknownBuddy(-1)) { try pool.deallocate(0, inBuddy: -1) }
        refused(.unknownBuddy(.max)) { try pool.deallocate(0, inBuddy: .max) }
        refused(.wrongSize(start..<start + 8, block: block.range)) {
            try pool.deallocate(BuddyBlock(buddy: 0, range: start..<start + 8))
        }
        refused(.insideOfBlock(offset: start + 4, block: block.range)) { try pool.deallocate(start + 4, inBuddy: 0) }
        refused(.outside(offset: 100, size: 100)) { try pool.deallocate(100, inBuddy: 0) }
        #expect(pool.blockSize(at: start, inBuddy: 0) == 16)
        #expect(pool.blockSize(at: start + 4, inBuddy: 0) == nil)
        #expect(pool.blockSize(at: 0, inBuddy: 7) == nil)
        try pool.deallocate(block)
        #expect(pool.statistics.buddies == 0)
        #expect(throws: BuddyError.unknownBuddy(0)) { try pool.deallocate(block) }
        #expect(throws: BuddyError.smallestBlockIsNoPowerOfTwo(3)) { try BuddyPool(buddySize: 8, smallestBlock: 3) }
        #expect(throws: BuddyError.unusableSize(3, smallestBlock: 4)) { try BuddyPool(buddySize: 3, smallestBlock: 4) }
        #expect(throws: BuddyError.noRoom(count: 1)) {
            try BuddyPool(buddySize: 8, smallestBlock: 4, limit: 0).allocate(1)
        }
    }

    @Test func whatStandsBehindABuddyIsMadeAndFreed() throws {
        let log = Mutex<[String]>([])
        let pool = try BuddyPool(
            buddySize: 16, smallestBlock: 16, reserve: 0,
            onAdd: { number in
                log.withLock { $0.append("add \(number)") }
                return number < 2
            },
            onDrop: { number in log.withLock { $0.append("drop \(number)") } })
        let first = try pool.allocate(1)
        let second = try pool.allocate(1)
        #expect(throws: BuddyError.noRoom(count: 1)) { try pool.allocate(1) }
        #expect(pool.statistics.buddies == 2)
        try pool.deallocate(first)
        #expect(try pool.allocate(16).buddy == 0)
        try pool.deallocate(second)
        #expect(log.withLock { $0 } == ["add 0", "add 1", "add 2", "drop 0", "add 0", "drop 1"])
        #expect(pool.brokenInvariant() == nil)
    }

    @Test func buddiesAreTakenAndGivenBack() throws {
        let pool = try BuddyPool(buddySize: 64, smallestBlock: 1, limit: 3, reserve: 1)
        let other = try BuddyPool(buddySize: 64, smallestBlock: 1)
        // The compiler would refuse the calls that are refused here.
        nonisolated(unsafe) var buddy = try pool.take()
        let identity = ObjectIdentifier(buddy)
        #expect(buddy.isEmpty)
        _ = try buddy.allocate(40)
        #expect(throws: BuddyError.notTaken) { try other.giveBack(buddy) }
        #expect(!buddy.isEmpty)
        try pool.giveBack(buddy)
        #expect(throws: BuddyError.notTaken) { try pool.giveBack(buddy) }
        #expect(pool.statistics.keptBuddies == 1)
        #expect(pool.statistics.takenBuddies == 0)
        buddy = try pool.take()
        #expect(ObjectIdentifier(buddy) == identity)
        #expect(buddy.freeBlocks == [0..<64])
        nonisolated(unsafe) let second = try pool.take()
        let block = try pool.allocate(1)
        #expect(throws: BuddyError.noBuddy(limit: 3)) { try pool.take() }
        #expect(throws: BuddyError.noRoom(count: 64)) { try pool.allocate(64) }
        // One that has grown is let go, and so is one more than the reserve.
        try buddy.grow(to: 128)
        try pool.giveBack(buddy)
        #expect(pool.statistics.keptBuddies == 0)
        try pool.giveBack(second)
        #expect(pool.statistics.keptBuddies == 1)
        try pool.giveBack(pool.take())
        try pool.deallocate(block)
        #expect(pool.statistics.buddies == 1)
        #expect(throws: BuddyError.notTaken) { try pool.giveBack(BuddyAllocator(size: 64, smallestBlock: 1)) }
        #expect(pool.brokenInvariant() == nil)
    }

    @Test func randomSequencesNeverOverlapAndRefuseOnlyWhatHasNoRoom() throws {
        let pool = try BuddyPool(buddySize: 72, smallestBlock: 2, limit: 5, reserve: 2)
        var random = SeededRandom(seed: 3)
        var live: [BuddyBlock] = []
        var used = [[Bool]](repeating: [Bool](repeating: false, count: 72), count: 5)
        for step in 0..<2000 {
            if Int.random(in: 0..<100, using: &random) < (step / 250 % 2 == 0 ? 70 : 30) {
                let count = Int.random(in: 1...20, using: &random)
                var rounded = 2
                while rounded < count { rounded *= 2 }
                if let block = pool.tryAllocate(count) {
                    #expect(block.range.count == rounded)
                    for offset in block.range {
                        #expect(!used[block.buddy][offset])
                        used[block.buddy][offset] = true
                    }
                    live.append(block)
                } else {
                    for buddy in used {
                        for start in stride(from: 0, through: 72 - rounded, by: rounded) {
                            #expect(buddy[start..<start + rounded].contains(true), "a false none for \(count)")
                        }
                    }
                }
            } else if !live.isEmpty {
                let block = live.remove(at: Int.random(in: live.indices, using: &random))
                try pool.deallocate(block)
                for offset in block.range { used[block.buddy][offset] = false }
            }
            #expect(pool.brokenInvariant() == nil)
        }
        for block in live { try pool.deallocate(block) }
        #expect(pool.statistics.usedCount == 0)
        #expect(pool.statistics.buddies <= 2)
    }

    /// Each thread writes to what it has, with plain stores: the thread sanitizer sees whether a block passes from one
    /// to the other through the lock.
    @Test func threadsShareBuddies() throws {
        let threads = 4
        // 20 blocks of at most 64 a thread never need as many as these.
        let limit = 40
        let pool = try BuddyPool(buddySize: 256, smallestBlock: 4, limit: limit)
        let owners = SharedOwners(count: limit * 256)
        let failures = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            var random = SeededRandom(seed: UInt64(thread))
            var live: [BuddyBlock] = []
            do {
                for _ in 0..<1500 {
                    if live.count < 20, Bool.random(using: &random) {
                        guard let block = pool.tryAllocate(Int.random(in: 1...40, using: &random)) else { continue }
                        for offset in block.range {
                            if owners[block.buddy * 256 + offset] != -1 { failures.wrappingAdd(1, ordering: .relaxed) }
                            owners[block.buddy * 256 + offset] = thread
                        }
                        live.append(block)
                    } else if let place = live.indices.randomElement(using: &random) {
                        let block = live.remove(at: place)
                        for offset in block.range {
                            if owners[block.buddy * 256 + offset] != thread {
                                failures.wrappingAdd(1, ordering: .relaxed)
                            }
                            owners[block.buddy * 256 + offset] = -1
                        }
                        try pool.deallocate(block)
                    } else {
                        let buddy = try pool.take()
                        _ = try buddy.allocate(100)
                        try pool.giveBack(buddy)
                    }
                }
                for block in live {
                    for offset in block.range { owners[block.buddy * 256 + offset] = -1 }
                    try pool.deallocate(block)
                }
            } catch {
                failures.wrappingAdd(1, ordering: .relaxed)
            }
        }
        #expect(failures.load(ordering: .relaxed) == 0)
        #expect(pool.statistics.usedCount == 0)
        #expect(pool.statistics.takenBuddies == 0)
        #expect(pool.brokenInvariant() == nil)
    }

    @Test func misuseTraps() async throws {
        let count = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try BuddyPool(buddySize: 64, smallestBlock: 2).tryAllocate(-1)
        }
        let countText = String(decoding: count?.standardErrorContent ?? [], as: UTF8.self)
        #expect(countText.contains("BuddyPool: a negative count"))
        let limit = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try BuddyPool(buddySize: 64, smallestBlock: 2, limit: -1)
        }
        let limitText = String(decoding: limit?.standardErrorContent ?? [], as: UTF8.self)
        #expect(limitText.contains("BuddyPool: a negative limit"))
    }
}

/// Integers that several threads read and write, ordered by nothing but the pool.
private final class SharedOwners: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<Int>

    init(count: Int) {
        memory = .allocate(capacity: count)
        memory.initialize(repeating: -1)
    }

    deinit { memory.deallocate() }

    subscript(_ index: Int) -> Int {
        get { memory[index] }
        set { memory[index] = newValue }
    }
}
