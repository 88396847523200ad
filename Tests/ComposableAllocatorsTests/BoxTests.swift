// A box's value and its block: each ends once, whatever is done with the box.

import Mallow
import Synchronization
import Testing

/// Counts blocks, and refuses where it is told to. Larger than a word, or a word, or nothing, by what wraps it.
private final class Counter: Sendable {
    let live = Atomic(0)
    let allocated = Atomic(0)
    let values = Atomic(0)
    let ended = Atomic(0)
    /// Requests until one is refused; negative: none is.
    let remaining = Atomic(-1)

    var liveBlocks: Int { live.load(ordering: .relaxed) }
    var endedValues: Int { ended.load(ordering: .relaxed) }
}

/// A reference: fits the word.
private final class WordAllocator: Allocator, Sendable {
    let counter: Counter

    init(_ counter: Counter) { self.counter = counter }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let remaining = counter.remaining.load(ordering: .relaxed)
        if remaining == 0 {
            throw AllocationError(
                allocator: "WordAllocator", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        if remaining > 0 { counter.remaining.store(remaining - 1, ordering: .relaxed) }
        // Aligned as it was asked, and no farther.
        precondition(alignment <= 16)
        let offset = 32 + alignment
        let room = try SystemAllocator().allocate(byteCount: offset + byteCount, alignment: 64)
        let block = UnsafeMutableRawBufferPointer(rebasing: room[offset...])
        counter.live.wrappingAdd(1, ordering: .relaxed)
        counter.allocated.wrappingAdd(1, ordering: .relaxed)
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        SystemAllocator().deallocate(UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: pointer) & ~63)!)
        counter.live.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// Lies in the block.
private struct LargeAllocator: Allocator, Sendable {
    let parts: InlineArray<5, WordAllocator>

    init(_ counter: Counter) { parts = InlineArray { _ in WordAllocator(counter) } }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try parts[0].allocate(byteCount: byteCount, alignment: alignment)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { parts[4].deallocate(pointer) }
}

private struct Token: ~Copyable, Sendable {
    let number: Int
    let counter: Counter

    init(_ number: Int, _ counter: Counter) {
        self.number = number
        self.counter = counter
        counter.values.wrappingAdd(1, ordering: .relaxed)
    }

    deinit { counter.ended.wrappingAdd(1, ordering: .relaxed) }
}

private struct Nothing: ~Copyable {}

struct BoxTests {
    /// Runs a body with an allocator that fits a word and with one that doesn't, and demands that all ends.
    private func withBoth(_ body: (any Allocator, Counter) throws -> Void) rethrows {
        for makesLarge in [false, true] {
            let counter = Counter()
            try body(makesLarge ? LargeAllocator(counter) : WordAllocator(counter), counter)
            #expect(counter.liveBlocks == 0)
            #expect(counter.endedValues == counter.values.load(ordering: .relaxed))
        }
    }

    @Test("a value is where it was put, and ends with its box, once, one block for each")
    func lifetime() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                do {
                    let box = try Box(Token(5, counter), in: allocator)
                    #expect(box.value.number == 5)
                    #expect(counter.liveBlocks == 1)
                    #expect(counter.endedValues == 0)
                }
                #expect(counter.liveBlocks == 0)
                #expect(counter.endedValues == 1)
                #expect(counter.allocated.load(ordering: .relaxed) == 1)
            }
            try run(allocator)
        }
    }

    @Test("take gives the value and frees the block")
    func take() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                let token = try Box(Token(5, counter), in: allocator).take()
                #expect(counter.liveBlocks == 0)
                #expect(counter.endedValues == 0)
                #expect(token.number == 5)
            }
            try run(allocator)
        }
    }

    @Test("replace gives the old value and keeps the block")
    func replace() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                var box = try Box(Token(1, counter), in: allocator)
                let address = box.withUnsafePointer { UInt(bitPattern: $0) }
                let old = box.replace(with: Token(2, counter))
                #expect(old.number == 1)
                #expect(counter.endedValues == 0)
                #expect(box.value.number == 2)
                #expect(box.withUnsafePointer { UInt(bitPattern: $0) } == address)
                #expect(counter.allocated.load(ordering: .relaxed) == 1)
            }
            try run(allocator)
        }
    }

    @Test("a value is changed in place")
    func change() throws {
        var box = try Box([1, 2, 3])
        box.value.append(4)
        box.value[0] = 7
        box.withUnsafeMutablePointer { _ = $0.pointee.removeLast() }
        #expect(box.value == [7, 2, 3])
        #expect(try box.copy().value == [7, 2, 3])
    }

    @Test("where there is no memory the error is thrown, and the value has ended once")
    func failure() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                counter.remaining.store(1, ordering: .relaxed)
                let first = try Box(Token(1, counter), in: allocator)
                #expect {
                    _ = try Box(Token(2, counter), in: allocator)
                } throws: { ($0 as? AllocationError)?.reason == .outOfMemory }
                #expect(counter.endedValues == 1)
                #expect(counter.liveBlocks == 1)
                #expect(first.value.number == 1)
            }
            try run(allocator)
        }
    }

    @Test("where there is no memory a value to be moved stays, and one to be made is not made")
    func failureKeepsTheValue() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                counter.remaining.store(0, ordering: .relaxed)
                var token: Token? = Token(1, counter)
                do throws(AllocationError) {
                    _ = try Box(moving: &token, in: allocator)
                    Issue.record("moved to no memory")
                } catch { #expect(error.reason == .outOfMemory) }
                #expect(token?.number == 1)
                do throws(AllocationError) {
                    _ = try Box(in: allocator) { Token(2, counter) }
                    Issue.record("made in no memory")
                } catch { #expect(error.reason == .outOfMemory) }
                #expect(counter.values.load(ordering: .relaxed) == 1)

                counter.remaining.store(-1, ordering: .relaxed)
                let box = try Box(moving: &token, in: allocator)
                let isEmpty = token == nil
                #expect(isEmpty)
                #expect(box.value.number == 1)
            }
            try run(allocator)
        }
    }

    @Test("what leak lets go lives on, until a box adopts it")
    func leak() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                let pointer = try Box(Token(5, counter), in: allocator).leak()
                #expect(counter.liveBlocks == 1)
                #expect(counter.endedValues == 0)
                let box = Box(adopting: pointer, in: allocator)
                #expect(box.value.number == 5)
            }
            try run(allocator)
        }
    }

    @Test("a pointer-sized allocator's box takes any block of it, and leaves one that it frees")
    func adoptsBlocks() throws {
        let counter = Counter()
        let allocator = WordAllocator(counter)
        do { _ = Box(adopting: try allocator.allocate(initializingTo: Token(5, counter)), in: allocator) }
        #expect(counter.liveBlocks == 0)
        #expect(counter.endedValues == 1)
        allocator.deinitializeAndDeallocate(try Box(Token(6, counter), in: allocator).leak())
        #expect(counter.liveBlocks == 0)
        #expect(counter.endedValues == 2)
    }

    @Test("a box keeps its allocator alive, and lets it go")
    func allocatorLives() throws {
        func weakAfter<A: Allocator>(_ make: () -> (A, WordAllocator)) throws {
            weak var seen: WordAllocator?
            func box() throws -> Box<Int, A> {
                let (allocator, watched) = make()
                seen = watched
                return try Box(1, in: allocator)
            }
            do {
                let boxed = try box()
                #expect(seen != nil)
                #expect(boxed.value == 1)
            }
            #expect(seen == nil)
            #expect(try box().take() == 1)
            #expect(seen == nil)
        }
        let counter = Counter()
        try weakAfter {
            let allocator = WordAllocator(counter)
            return (allocator, allocator)
        }
        try weakAfter {
            let allocator = LargeAllocator(counter)
            return (allocator, allocator.parts[3])
        }
    }

    @Test("values of every alignment and of no size")
    func alignment() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                func check<Value: Equatable>(_ value: Value, _ other: Value) throws {
                    let alignment = UInt(MemoryLayout<Value>.alignment)
                    var box = try Box(value, in: allocator)
                    box.withUnsafePointer { #expect(UInt(bitPattern: $0) % alignment == 0) }
                    #expect(box.value == value)
                    #expect(box.replace(with: other) == value)
                    #expect(box.take() == other)
                }
                try check(UInt8(1), 2)
                try check(UInt16(1), 2)
                try check(Int32(1), 2)
                try check("a string", "another")
                try check([UInt8](repeating: 1, count: 3), [])
                try check(SIMD64<UInt8>(repeating: 3), SIMD64(repeating: 4))
                try check(SIMD16<Double>(repeating: 3), SIMD16(repeating: 4))
                #expect(counter.liveBlocks == 0)

                let nothing = try Box(Nothing(), in: allocator)
                let unit = try Box((), in: allocator)
                #expect(counter.liveBlocks == 2)
                _ = nothing.take()
                #expect(counter.liveBlocks == 1)
                unit.take()
            }
            try run(allocator)
        }
    }

    @Test("a box of a box, boxes of an inline array and of an enum end once")
    func nested() throws {
        try withBoth { allocator, counter in
            func run<A: Allocator>(_ allocator: A) throws {
                let outer = try Box(Box(Token(1, counter), in: allocator), in: allocator)
                #expect(outer.value.value.number == 1)
                let inner = outer.take()
                #expect(counter.liveBlocks == 1)
                #expect(inner.take().number == 1)

                var row = try InlineArray<4, Box<Token, A>> { try Box(Token($0, counter), in: allocator) }
                row[2].value = Token(20, counter)
                #expect(counter.liveBlocks == 4)
                #expect(row[2].value.number == 20)
                #expect(row[3].value.number == 3)
            }
            try run(allocator)
        }
    }

    @Test("a tree of boxes in a pool, built and cut at random, ends as the model says")
    func tree() throws {
        var random = SeededRandom(seed: 7)
        let counter = Counter()
        let pool = try FixedBlockAllocator(blockSize: 64)
        do {
            var slots = InlineArray<16, Box<Token, FixedBlockAllocator<SystemAllocator>>?> { _ in nil }
            var model = [Int?](repeating: nil, count: 16)
            var made = 0
            for step in 0..<4000 {
                let index = Int.random(in: 0..<16, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0, 1:
                    slots[index] = try Box(Token(step, counter), in: pool)
                    model[index] = step
                    made += 1
                case 2:
                    slots[index] = nil
                    model[index] = nil
                case 3:
                    if let box = slots[index].take() {
                        #expect(box.take().number == model[index])
                    } else {
                        #expect(model[index] == nil)
                    }
                    model[index] = nil
                default:
                    if model[index] != nil {
                        #expect(slots[index]!.replace(with: Token(step, counter)).number == model[index])
                        model[index] = step
                        made += 1
                    }
                }
                let live = model.compactMap { $0 }.count
                #expect(pool.statistics.liveBlocks == live)
                #expect(counter.endedValues == made - live)
                #expect(slots[index]?.value.number == model[index])
            }
        }
        #expect(counter.endedValues == counter.values.load(ordering: .relaxed))
        try pool.close()
    }

    @Test("a box crosses to other tasks where value and allocator are Sendable")
    func tasks() async throws {
        let counter = Counter()
        let ended = Ending()
        for number in 0..<50 {
            let word = try Box(Token(number, counter), in: WordAllocator(counter))
            let large = try Box(Token(number, counter), in: LargeAllocator(counter))
            #expect(await ended.end(word) + ended.end(large) == 2 * number)

            // A closure of a task only borrows.
            let shared = try Box(number, in: LargeAllocator(counter))
            #expect(await Task.detached { shared.value }.value == number)
        }
        #expect(counter.liveBlocks == 0)
        #expect(counter.endedValues == 100)
    }

    private actor Ending {
        func end<A: Allocator>(_ box: consuming sending Box<Token, A>) -> Int { box.take().number }
    }

    @Test("a box is three words, whatever is in it")
    func size() {
        #expect(MemoryLayout<Box<Int, SystemAllocator>>.size == 24)
        #expect(MemoryLayout<Box<SIMD4<Int>, LargeAllocator>>.size == 24)
        #expect(MemoryLayout<Box<Int, SystemAllocator>?>.size == 24)
    }

    @Test("moving nothing traps")
    func movingNothing() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var nothing: Int?
            _ = try Box(moving: &nothing, in: SystemAllocator())
        }
        let message = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(message.contains("Box: there is no value to move"))
    }
}
