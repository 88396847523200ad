// What the checks count with: values that count themselves, and allocators that count their blocks.

import Mallow

/// The values that live, and how many have ended.
struct Tally {
    var live = 0
    var ended = 0
}

/// One count for the whole program, which has one thread.
nonisolated(unsafe) var tally = Tally()

/// A noncopyable value that counts itself.
struct Token: ~Copyable {
    let number: Int

    init(_ number: Int) {
        self.number = number
        tally.live += 1
    }

    deinit {
        tally.live -= 1
        tally.ended += 1
    }
}

/// A copyable one: each object is counted once.
final class Witness {
    init() { tally.live += 1 }

    deinit {
        tally.live -= 1
        tally.ended += 1
    }
}

/// Counts the blocks of malloc that live, whoever the allocator is that has them.
nonisolated(unsafe) var liveBlocks = 0

/// An allocator of no size.
struct StatelessAllocator: Allocator {
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
        liveBlocks += 1
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        SystemAllocator().deallocate(pointer)
        liveBlocks -= 1
    }
}

/// One that is a reference; it counts itself as a value does.
final class ClassAllocator: Allocator {
    let witness = Witness()

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try StatelessAllocator().allocate(byteCount: byteCount, alignment: alignment)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { StatelessAllocator().deallocate(pointer) }
}

/// One that is larger than a word.
struct LargeAllocator: Allocator {
    let first = ClassAllocator()
    let second = ClassAllocator()
    let number = 7

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try first.allocate(byteCount: byteCount, alignment: alignment)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { second.deallocate(pointer) }
}

nonisolated(unsafe) var failures = 0

/// Runs a body, and demands that so many values ended in it, that none lives after it and no block does.
func check(_ name: String, ends ended: Int, _ body: () throws -> Void) {
    tally = Tally()
    liveBlocks = 0
    do { try body() } catch {
        failures += 1
        print("\(name): \(error)")
        return
    }
    if tally.ended != ended || tally.live != 0 || liveBlocks != 0 {
        failures += 1
        print("\(name): \(tally.ended) values ended, not \(ended); \(tally.live) values and \(liveBlocks) blocks left")
    }
}

/// Demands a condition inside a check.
func expect(_ condition: Bool, _ what: String) {
    guard !condition else { return }
    failures += 1
    print("wrong: \(what)")
}
