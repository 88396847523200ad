// Memory for values: sizes, alignments, life and death of the values, and sizes that cannot be; and moving blocks.

import AllocatorCore
import AllocatorTestKit
import Testing

@Suite struct TypedAllocationTests {
    private final class Counted {
        let number: Int
        let counter: Counter
        init(_ number: Int, _ counter: Counter) {
            self.number = number
            self.counter = counter
            counter.live += 1
        }
        deinit { counter.live -= 1 }
    }

    private final class Counter {
        var live = 0
    }

    @Test func roomIsForAsManyValues() throws {
        let allocator = RecordingAllocator()
        let buffer = try allocator.allocate((Int32, Int8).self, count: 10)
        #expect(buffer.count == 10)
        #expect(allocator.trace.operations == [.allocate(id: 0, byteCount: 80, alignment: 4)])
        allocator.deallocate(buffer)
        let vectors = try allocator.allocate(SIMD8<Float>.self, count: 3)
        #expect(
            allocator.trace.operations.last
                == .allocate(id: 1, byteCount: 96, alignment: MemoryLayout<SIMD8<Float>>.alignment))
        #expect(MemoryLayout<SIMD8<Float>>.alignment >= 16)
        allocator.deallocate(vectors)
        let none = try allocator.allocate(Int.self, count: 0)
        #expect(none.count == 0 && none.baseAddress != nil)
        allocator.deallocate(none)
        try allocator.close()
    }

    @Test func valuesAreInitialisedAndDeinitialised() throws {
        let allocator = RecordingAllocator()
        let counter = Counter()
        let one = try allocator.allocate(initializingTo: Counted(1, counter))
        #expect(one.pointee.number == 1)
        let same = try allocator.allocate(repeating: Counted(2, counter), count: 5)
        #expect(same.allSatisfy { $0.number == 2 } && same.count == 5)
        let copies = try allocator.allocate(copying: (0..<7).map { Counted($0, counter) })
        #expect(copies.map(\.number) == Array(0..<7))
        #expect(counter.live == 9)
        allocator.deinitializeAndDeallocate(one)
        allocator.deinitializeAndDeallocate(same)
        #expect(counter.live == 7)
        allocator.deinitializeAndDeallocate(copies)
        #expect(counter.live == 0)
        #expect(try allocator.allocate(copying: EmptyCollection<Int>()).count == 0)
        #expect(throws: LeakError(allocator: "RecordingAllocator", blocks: 1, bytes: 0)) { try allocator.close() }
    }

    @Test func noncopyableValues() throws {
        struct Handle: ~Copyable {
            let counter: Counter
            init(_ counter: Counter) {
                self.counter = counter
                counter.live += 1
            }
            deinit { counter.live -= 1 }
        }
        let counter = Counter()
        let allocator = RecordingAllocator()
        let pointer = try allocator.allocate(initializingTo: Handle(counter))
        #expect(counter.live == 1)
        allocator.deinitializeAndDeallocate(pointer)
        #expect(counter.live == 0)
        try allocator.close()
    }

    @Test func aSizeThatOverflowsThrows() {
        for count in [Int.max, Int.max / 2, Int.max / 16 + 1] {
            let error = #expect(throws: AllocationError.self) {
                try SystemAllocator().allocate((Int, Int).self, count: count)
            }
            #expect(error?.byteCount == .max)
            #expect(error?.reason == .outOfMemory)
        }
    }

    @Test func aNegativeCountTraps() async {
        await #expect(processExitsWith: .failure) { _ = try SystemAllocator().allocate(Int.self, count: -1) }
        await #expect(processExitsWith: .failure) { _ = try SystemAllocator().allocate(Int.self, count: .min) }
    }

    @Test func aNegativeCountTrapsWhereverTheProductFalls() async {
        // -2^60 strides of 16 bytes are 0 modulo 2^64: no request for nothing.
        await #expect(processExitsWith: .failure) {
            _ = try SystemAllocator().allocate((Int, Int).self, count: -1 << 60)
        }
        // -2^60 - 1 of 16 bytes are -16, and -2^60 + 1 are 16.
        await #expect(processExitsWith: .failure) {
            _ = try SystemAllocator().allocate((Int, Int).self, count: (-1 << 60) + 1)
        }
    }

    // MARK: - Moving blocks

    @Test func reallocateMovesWhereNothingElseIsPossible() throws {
        let allocator: some Allocator = AnyAllocator(SystemAllocator())
        var block = try allocator.allocate(byteCount: 10)
        for (offset, byte) in zip(0..., "0123456789".utf8) { block[offset] = byte }
        block = try allocator.reallocate(block, byteCount: 5000)
        #expect(block.count == 5000)
        #expect(String(decoding: block.prefix(10), as: UTF8.self) == "0123456789")
        block = try allocator.reallocate(block, byteCount: 4, alignment: 256)
        #expect(UInt(bitPattern: block.baseAddress) % 256 == 0)
        #expect(String(decoding: block.prefix(4), as: UTF8.self) == "0123")
        block = try allocator.reallocate(block, byteCount: 0)
        #expect(block.count == 0)
        allocator.deallocate(block)
    }

    @Test func reallocateStaysWhereItCan() throws {
        let allocator = RecordingAllocator()
        let block = try allocator.allocate(byteCount: 1000, alignment: 16)
        let smaller = try allocator.reallocate(block, byteCount: 900, alignment: 16)
        #expect(smaller.baseAddress == block.baseAddress)
        #expect(smaller.count == 900)
        #expect(allocator.statistics.totalBlocks == 1)
        // The address suits no larger alignment, so the block must move.
        let further = 2 << UInt(bitPattern: block.baseAddress).trailingZeroBitCount
        let moved = try allocator.reallocate(smaller, byteCount: 900, alignment: further)
        #expect(UInt(bitPattern: moved.baseAddress) % UInt(further) == 0)
        #expect(allocator.statistics.liveBlocks == 1)
        allocator.deallocate(moved)
        try allocator.close()
    }

    @Test func reallocateThatFailsLeavesTheBlock() throws {
        let allocator = FailingAllocator(plan: .after(1))
        let block = try allocator.allocate(byteCount: 3)
        block.copyBytes(from: [1, 2, 3])
        #expect(throws: AllocationError.self) { try allocator.reallocate(block, byteCount: 100_000) }
        #expect(Array(block) == [1, 2, 3])
        #expect(throws: AllocationError.self) { try allocator.reallocate(block, byteCount: 100_000, alignment: 3) }
        #expect(allocator.statistics.liveBlocks == 1)
        allocator.deallocate(block)
        try allocator.close()
    }
}
