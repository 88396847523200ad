// Any allocator as C's function pointers: malloc's promises, its refusals, what keeps the allocator.

import Foundation
import Mallow
import Testing

@testable import ComposableAllocators

/// Neither tells sizes nor keeps an account: every block needs a prefix, and the table counts.
struct PlainAllocator: Allocator, Sendable {
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if byteCount > 1 << 40 {
            throw AllocationError(
                allocator: "PlainAllocator", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        return try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
}

/// Random calls through the C functions, against what malloc promises.
func exercise(_ allocator: CAllocator, seed: UInt64, steps: Int) {
    let context = allocator.context
    let (malloc, free, calloc) = (allocator.malloc, allocator.free, allocator.calloc)
    let (realloc, usableSize) = (allocator.realloc, allocator.usableSize)
    var random = SeededRandom(seed: seed)
    var live: [(pointer: UnsafeMutableRawPointer, count: Int, fill: UInt8)] = []
    func check(_ pointer: UnsafeMutableRawPointer, _ count: Int, _ fill: UInt8) {
        #expect(UnsafeRawBufferPointer(start: pointer, count: count).allSatisfy { $0 == fill })
    }
    for step in 0..<steps {
        let fill = UInt8(truncatingIfNeeded: step)
        let count = random.next() % 8 == 0 ? Int(random.next() % 20_000) : Int(random.next() % 200)
        switch random.next() % 5 {
        case 0, 1:
            let zeros = random.next() % 2 == 0
            let pointer = zeros ? calloc(context, count, 1)! : malloc(context, count)!
            if zeros { check(pointer, count, 0) }
            #expect(UInt(bitPattern: pointer) % 16 == 0)
            #expect(usableSize(context, pointer) >= count)
            memset(pointer, Int32(fill), count)
            live.append((pointer, count, fill))
        case 2 where !live.isEmpty:
            let index = Int(random.next() % UInt64(live.count))
            let block = live[index]
            let moved = realloc(context, block.pointer, count)!
            check(moved, min(count, block.count), block.fill)
            #expect(usableSize(context, moved) >= count)
            memset(moved, Int32(fill), count)
            live[index] = (moved, count, fill)
        case _ where !live.isEmpty:
            let block = live.remove(at: Int(random.next() % UInt64(live.count)))
            check(block.pointer, block.count, block.fill)
            free(context, block.pointer)
        default: break
        }
        #expect(Set(live.map(\.pointer)).count == live.count)
    }
    for block in live {
        check(block.pointer, block.count, block.fill)
        free(context, block.pointer)
    }
}

@Suite struct CAllocatorTests {
    @Test(arguments: 1...3) func keepsMallocsPromises(seed: UInt64) throws {
        let counting = CountingAllocator()
        let tables = try [
            CAllocator(counting), CAllocator(PlainAllocator()), CAllocator(SystemAllocator()),
            CAllocator(AnyAllocator(counting)), CAllocator(Synchronized(CountingAllocator())),
        ]
        for table in tables {
            exercise(table, seed: seed, steps: 3_000)
            #expect(table.findLeaks() == nil)
            try table.invalidate()
        }
        #expect(counting.statistics.liveBlocks == 0 && counting.statistics.totalBlocks > 1_000)
    }

    @Test func refusesAsCDoes() throws {
        let counting = CountingAllocator()
        for table in try [CAllocator(counting), CAllocator(PlainAllocator())] {
            let context = table.context
            #expect(table.malloc(context, -1) == nil)
            #expect(table.malloc(context, .max) == nil)
            #expect(table.calloc(context, Int(bitPattern: UInt.max / 2 + 1), 2) == nil)
            #expect(table.calloc(context, 1 << 33, 1 << 33) == nil)
            table.free(context, nil)
            #expect(table.usableSize(context, nil) == 0)
            #expect(table.goodSize(context, 24) >= 24)
            let nothing = table.malloc(context, 0)
            #expect(nothing != nil)
            let block = table.realloc(context, nil, 100)!
            memset(block, 7, 100)
            counting.room = 150
            #expect(table.realloc(context, block, 1 << 41) == nil)
            #expect(table.realloc(context, block, -1) == nil)
            #expect(UnsafeRawBufferPointer(start: block, count: 100).allSatisfy { $0 == 7 })
            counting.room = .max
            let small = table.realloc(context, block, 0)
            #expect(small != nil)
            table.free(context, small)
            table.free(context, nothing)
            #expect(table.findLeaks() == nil)
            try table.invalidate()
        }
    }

    @Test func growsInPlaceWhereTheAllocatorCan() throws {
        final class Growing: ResizableAllocator, SizeReportingAllocator {
            var size = 0
            var moves = 0
            func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
                moves += 1
                size = byteCount
                let block = try SystemAllocator().allocate(byteCount: 4096, alignment: 16)
                return UnsafeMutableRawBufferPointer(rebasing: block.prefix(byteCount))
            }
            func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
            func byteCount(of pointer: UnsafeRawPointer) -> Int { size }
            func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
                guard byteCount <= 4096 else { return nil }
                size = byteCount
                return UnsafeMutableRawBufferPointer(start: pointer, count: byteCount)
            }
        }
        let growing = Growing()
        let table = try CAllocator(growing)
        // Making a table asks for a block once, where the good size does not tell.
        growing.moves = 0
        let block = table.malloc(table.context, 10)!
        #expect(table.realloc(table.context, block, 4_000) == block)
        #expect(table.findLeaks() == LeakError(allocator: "Growing", blocks: 1, bytes: 4_000))
        #expect(growing.moves == 1)
        table.free(table.context, block)
        try table.invalidate()
    }

    @Test func theContextKeepsTheAllocatorUntilItIsInvalidated() throws {
        weak var allocator: CountingAllocator?
        let table: CAllocator
        do {
            let made = CountingAllocator()
            allocator = made
            table = try CAllocator(made)
        }
        #expect(allocator != nil)
        let block = table.malloc(table.context, 40)!
        #expect(throws: LeakError(allocator: "CountingAllocator", blocks: 1, bytes: 40)) { try table.invalidate() }
        table.free(table.context, block)
        try table.invalidate()
        #expect(allocator == nil)
    }

    @Test func scopedUseReportsWhatItLeaves() throws {
        struct Failure: Error {}
        let allocator = CountingAllocator()
        #expect(
            try allocator.withCAllocator { table in
                table.free(table.context, table.malloc(table.context, 3))
                return 7
            } == 7)
        #expect(throws: LeakError.self) { try allocator.withCAllocator { _ = $0.malloc($0.context, 8) } }
        #expect(throws: Failure.self) { try allocator.withCAllocator { _ in throw Failure() } }
    }

    @Test func countsFromManyThreads() throws {
        let table = try CAllocator(PlainAllocator())
        let context = Address(pointer: table.context)
        onThreads(4) { thread in
            for count in 0..<5_000 { CAllocator.free(context.pointer, CAllocator.malloc(context.pointer, count % 100)) }
            if thread < 2 { _ = CAllocator.malloc(context.pointer, 50) }
        }
        #expect(table.findLeaks() == LeakError(allocator: "PlainAllocator", blocks: 2, bytes: 100))
    }

    /// Of the parts, only the small one keeps an account: a large block is known to the table alone.
    @Test func countsWhereAPartKeepsNoAccount() throws {
        let pool = try FixedBlockAllocator(blockSize: 64)
        let table = try CAllocator(ThresholdAllocator(threshold: 64, small: pool, large: SystemAllocator()))
        let context = table.context
        let large = table.malloc(context, 1_000)
        let usable = table.usableSize(context, large)
        let leak = LeakError(
            allocator: "ThresholdAllocator<FixedBlockAllocator<SystemAllocator>, SystemAllocator>", blocks: 1,
            bytes: usable)
        #expect(usable >= 1_000 && table.findLeaks() == leak)
        #expect(throws: leak) { try table.invalidate() }
        let small = table.malloc(context, 10)
        #expect(table.findLeaks()?.blocks == 2 && table.findLeaks()?.bytes == usable + 64)
        table.free(context, large)
        #expect(table.findLeaks()?.blocks == 1 && table.findLeaks()?.bytes == 64)
        // Across the threshold, and back.
        let grown = table.realloc(context, small, 5_000)
        #expect(table.findLeaks()?.blocks == 1 && table.findLeaks()?.bytes == table.usableSize(context, grown))
        table.free(context, table.realloc(context, grown, 3))
        #expect(table.findLeaks() == nil)
        try table.invalidate()
        #expect(pool.statistics.totalBlocks == 2)
        try pool.close()
    }

    @Test(arguments: 1...3) func itsAccountIsExactAtEveryStep(seed: UInt64) throws {
        let pool = try TieredAllocator(blockSizes: [32, 256])
        for table in try [CAllocator(pool), CAllocator(PlainAllocator())] {
            let context = table.context
            var random = SeededRandom(seed: seed)
            var live: [UnsafeMutableRawPointer] = []
            for _ in 0..<2_000 {
                let index = Int(random.next() % UInt64(max(live.count, 1)))
                switch random.next() % 4 {
                case 0 where !live.isEmpty: table.free(context, live.remove(at: index))
                case 1 where !live.isEmpty:
                    live[index] = table.realloc(context, live[index], Int(random.next() % 600))!
                case 2: live.append(table.calloc(context, 3, Int(random.next() % 100))!)
                default: live.append(table.malloc(context, Int(random.next() % 300))!)
                }
                let bytes = live.map { table.usableSize(context, $0) }.reduce(0, +)
                let leak = table.findLeaks()
                #expect((leak?.blocks ?? 0) == live.count && (leak?.bytes ?? 0) == bytes)
            }
            for pointer in live { table.free(context, pointer) }
            try table.invalidate()
        }
        try pool.close()
    }

    @Test func blocksMadeAroundTheTableDoNotCount() throws {
        let pool = try FixedBlockAllocator(blockSize: 32)
        let own = try pool.allocate(byteCount: 32)
        let table = try CAllocator(pool)
        #expect(table.findLeaks() == nil)
        let block = table.malloc(table.context, 8)
        #expect(table.findLeaks()?.blocks == 1)
        table.free(table.context, block)
        try table.invalidate()
        #expect(pool.findLeaks()?.blocks == 1)
        pool.deallocate(own)
        try pool.close()
    }

    @Test func refusesAnAllocatorThatNeverServesC() throws {
        struct OfEight: Allocator, Sendable {
            func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
                throw AllocationError(
                    allocator: "OfEight", byteCount: byteCount, alignment: alignment, reason: .tooLarge(limit: 8))
            }
            func deallocate(_ pointer: UnsafeMutableRawPointer) {}
        }
        func refusal(_ table: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(allocator: table, argument: "allocator", value: value, requirement: requirement)
        }
        let pool = try FixedBlockAllocator(blockSize: 24)
        let ofPool = "an alignment that FixedBlockAllocator<SystemAllocator> offers (8 at most)"
        #expect(throws: refusal("CAllocator", 16, ofPool)) { try CAllocator(pool) }
        #expect(throws: refusal("CAllocator", 16, ofPool)) { try pool.withCAllocator { _ in } }
        #expect(throws: refusal("CAllocator", 16, "an alignment that PerThread<SystemAllocator> offers (8 at most)")) {
            try CAllocator(PerThread(blockSize: 24))
        }
        #expect(throws: ConfigurationError.self) {
            try CAllocator(ThresholdAllocator(threshold: 24, small: pool, large: SystemAllocator()))
        }
        // What does not tell sizes has 16 bytes in front.
        #expect(throws: refusal("CAllocator", 17, "a number of bytes that OfEight serves (8 at most)")) {
            try CAllocator(OfEight())
        }
        // The secondary serves what the pool does not.
        let table = try CAllocator(FallbackAllocator(primary: pool, secondary: SystemAllocator()))
        table.free(table.context, table.malloc(table.context, 8))
        try table.invalidate()
        // An allocator that is exhausted now may serve later.
        let exhausted = CountingAllocator()
        exhausted.room = 0
        let later = try CAllocator(exhausted)
        #expect(later.malloc(later.context, 8) == nil)
        exhausted.room = .max
        later.free(later.context, later.malloc(later.context, 8))
        try later.invalidate()
        #expect(pool.statistics.totalBlocks == 0)
    }

    @Test func aCallAfterTheEndTraps() async {
        await #expect(processExitsWith: .failure) {
            let table = try CAllocator(SystemAllocator())
            try table.invalidate()
            try table.invalidate()
        }
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = CAllocator.malloc(nil, 8)
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("CAllocator: a call without a context"))
    }
}

/// One allocator for the process: these run one after the other.
@Suite(.serialized) struct RegisteredCAllocatorTests {
    @Test func servesTheRegisteredAllocator() throws {
        #expect(!RegisteredCAllocator.isRegistered)
        #expect(RegisteredCAllocator.mallocFunction(8) == nil && RegisteredCAllocator.callocFunction(1, 8) == nil)
        try RegisteredCAllocator.register(Synchronized(CountingAllocator()))
        #expect(RegisteredCAllocator.isRegistered)
        let twice = #expect(throws: RegisteredCAllocator.AlreadyRegistered.self) {
            try RegisteredCAllocator.register(SystemAllocator())
        }
        #expect(twice?.registered == "Synchronized<CountingAllocator>")
        onThreads(4) { _ in
            let (malloc, free) = (RegisteredCAllocator.mallocFunction, RegisteredCAllocator.freeFunction)
            let (calloc, realloc) = (RegisteredCAllocator.callocFunction, RegisteredCAllocator.reallocFunction)
            for count in 1..<2_000 {
                let block = calloc(count, 3)!
                #expect(block.load(fromByteOffset: count * 3 - 1, as: UInt8.self) == 0)
                memset(block, 5, count)
                let moved = realloc(block, count * 4)!
                #expect(moved.load(fromByteOffset: count - 1, as: UInt8.self) == 5)
                #expect(RegisteredCAllocator.usableSizeFunction(moved) >= count * 4)
                free(moved)
                free(malloc(RegisteredCAllocator.goodSizeFunction(count)))
            }
        }
        let left = RegisteredCAllocator.reallocFunction(nil, 30)
        #expect(throws: LeakError(allocator: "Synchronized<CountingAllocator>", blocks: 1, bytes: 30)) {
            try RegisteredCAllocator.unregister()
        }
        #expect(RegisteredCAllocator.isRegistered)
        RegisteredCAllocator.freeFunction(left)
        try RegisteredCAllocator.unregister()
        try RegisteredCAllocator.unregister()
        #expect(!RegisteredCAllocator.isRegistered)
        // Another may follow, and one that keeps no account is counted.
        try RegisteredCAllocator.register(PlainAllocator())
        let block = RegisteredCAllocator.malloc(5)
        #expect(throws: LeakError(allocator: "PlainAllocator", blocks: 1, bytes: 5)) {
            try RegisteredCAllocator.unregister()
        }
        RegisteredCAllocator.free(block)
        try RegisteredCAllocator.unregister()
        let counting = CountingAllocator()
        try RegisteredCAllocator.registerUnchecked(counting)
        RegisteredCAllocator.free(RegisteredCAllocator.malloc(5))
        try RegisteredCAllocator.unregister()
        #expect(counting.statistics.totalBlocks == 2)
    }

    @Test func refusesWhatNeverServesCAndCountsItsOwn() throws {
        let refusal = ConfigurationError(
            allocator: "RegisteredCAllocator", argument: "allocator", value: 16,
            requirement: "an alignment that PerThread<SystemAllocator> offers (8 at most)")
        #expect(throws: refusal) { try RegisteredCAllocator.register(PerThread(blockSize: 24)) }
        let pool = try FixedBlockAllocator(blockSize: 24)
        #expect(throws: ConfigurationError.self) { try RegisteredCAllocator.registerUnchecked(pool) }
        #expect(!RegisteredCAllocator.isRegistered)
        let small = try FixedBlockAllocator(blockSize: 64)
        let own = try small.allocate(byteCount: 64)
        try RegisteredCAllocator.registerUnchecked(
            ThresholdAllocator(threshold: 64, small: small, large: SystemAllocator()))
        #expect(RegisteredCAllocator.findLeaks() == nil)
        let large = RegisteredCAllocator.malloc(1_000)
        #expect(RegisteredCAllocator.findLeaks()?.blocks == 1)
        #expect(throws: LeakError.self) { try RegisteredCAllocator.unregister() }
        RegisteredCAllocator.free(large)
        try RegisteredCAllocator.unregister()
        small.deallocate(own)
        try small.close()
    }

    @Test func aBlockThatComesWithoutAnAllocatorTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            RegisteredCAllocator.freeFunction(UnsafeMutableRawPointer(bitPattern: 4096))
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("RegisteredCAllocator: 0x0000000000001000 came while no allocator is registered"))
    }
}
