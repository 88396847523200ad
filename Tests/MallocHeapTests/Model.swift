// A model of what a malloc promises: blocks that do not overlap, keep their contents, are aligned, and hold what they
// say. Each block is filled with a pattern of its own number, which is checked when it is freed or resized.

import CMallowShims
import MallocHeap
import Testing

/// A small, seeded generator (SplitMix64; Steele, Lea, Flood 2014): the same sequence on every machine.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// Whether each byte is this one: as many as an unoptimised loop would take seconds for.
func isFilled(_ start: UnsafeRawPointer, _ byteCount: Int, with byte: UInt8) -> Bool {
    byteCount == 0 || start.load(as: UInt8.self) == byte && memcmp(start, start + 1, byteCount - 1) == 0
}

/// Blocks that are live, and what must be in them.
struct Model {
    struct Block {
        var pointer: UnsafeMutableRawPointer
        var byteCount: UInt
        var pattern: UInt8
    }

    private(set) var blocks: [Block] = []
    private var random: SplitMix
    private var nextPattern: UInt8 = 1
    /// Requests that were refused for want of memory.
    private(set) var refusals = 0

    init(seed: UInt64) { random = SplitMix(seed: seed) }

    /// One step of a random program: mostly allocates while there are few blocks and frees while there are many.
    mutating func step(largest: UInt, around count: Int) {
        let choice = Int(random.next() % 100)
        if blocks.isEmpty || choice < 45 && blocks.count < 2 * count || blocks.count < count / 2 {
            allocate(size(upTo: largest))
        } else if choice < 80 {
            free(at: Int(random.next() % UInt64(blocks.count)))
        } else if choice < 92 {
            resize(at: Int(random.next() % UInt64(blocks.count)), to: size(upTo: largest))
        } else {
            allocateAligned(size(upTo: largest), alignment: 1 << (random.next() % 17))
        }
    }

    /// Log-uniform, so that every class is visited.
    mutating func size(upTo largest: UInt) -> UInt {
        let bits = UInt64(largest.bitWidth - largest.leadingZeroBitCount)
        let limit = UInt64(1) << (random.next() % bits + 1)
        return min(UInt(random.next() % limit), largest)
    }

    mutating func allocate(_ byteCount: UInt) {
        if random.next() % 4 == 0 {
            let block = Malloc.allocateZeroed(count: 1, byteCount: byteCount)
            if let block, !isFilled(block, Int(byteCount), with: 0) {
                Issue.record("calloc of \(byteCount) bytes is not all zeros")
            }
            adopt(block, byteCount, alignment: byteCount > 8 ? 16 : 8)
        } else {
            adopt(Malloc.allocate(byteCount), byteCount, alignment: byteCount > 8 ? 16 : 8)
        }
    }

    mutating func allocateAligned(_ byteCount: UInt, alignment: UInt) {
        adopt(Malloc.allocate(byteCount, alignment: alignment), byteCount, alignment: alignment)
    }

    private mutating func adopt(_ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt, alignment: UInt) {
        guard let pointer else {
            #expect(mallow_errno() == ENOMEM)
            refusals += 1
            return
        }
        if UInt(bitPattern: pointer) % alignment != 0 {
            Issue.record("\(byteCount) bytes at \(pointer), not \(alignment)")
        }
        if Malloc.usableSize(pointer) < byteCount { Issue.record("\(byteCount) bytes hold less") }
        let block = Block(pointer: pointer, byteCount: byteCount, pattern: nextPattern)
        nextPattern = nextPattern == 255 ? 1 : nextPattern + 1
        fill(block)
        blocks.append(block)
    }

    mutating func free(at index: Int) {
        let block = blocks.remove(at: swapToEnd(index))
        check(block, upTo: block.byteCount)
        Malloc.deallocate(block.pointer)
    }

    private mutating func swapToEnd(_ index: Int) -> Int {
        blocks.swapAt(index, blocks.count - 1)
        return blocks.count - 1
    }

    mutating func resize(at index: Int, to byteCount: UInt) {
        var block = blocks[index]
        check(block, upTo: block.byteCount)
        let wanted = max(1, byteCount)
        guard let moved = Malloc.reallocate(block.pointer, wanted) else {
            refusals += 1
            check(block, upTo: block.byteCount)
            return
        }
        block.pointer = moved
        check(block, upTo: min(block.byteCount, wanted))
        block.byteCount = wanted
        fill(block)
        blocks[index] = block
    }

    mutating func freeAll() {
        while !blocks.isEmpty { free(at: blocks.count - 1) }
    }

    /// No two blocks share a byte.
    func checkOverlap() {
        let sorted = blocks.sorted { $0.pointer < $1.pointer }
        for (lower, upper) in zip(sorted, sorted.dropFirst())
        where UInt(bitPattern: lower.pointer) + max(1, lower.byteCount) > UInt(bitPattern: upper.pointer) {
            Issue.record("blocks at \(lower.pointer) and \(upper.pointer) overlap")
        }
    }

    /// Small blocks are filled and checked whole, larger ones at both ends and once in each 4 KiB.
    private func fill(_ block: Block) {
        forEachSample(of: block.byteCount) {
            block.pointer.storeBytes(of: block.pattern, toByteOffset: $0, as: UInt8.self)
        }
    }

    private func check(_ block: Block, upTo byteCount: UInt) {
        var broken = false
        forEachSample(of: byteCount, within: block.byteCount) {
            if block.pointer.load(fromByteOffset: $0, as: UInt8.self) != block.pattern { broken = true }
        }
        if broken { Issue.record("a block of \(block.byteCount) bytes lost its contents") }
    }

    private func forEachSample(of byteCount: UInt, within filled: UInt? = nil, _ body: (Int) -> Void) {
        let filled = filled ?? byteCount
        for offset in 0..<Int(min(byteCount, 512)) { body(offset) }
        for offset in stride(from: 4096, to: Int(byteCount), by: 4096) { body(offset) }
        if byteCount == filled, byteCount > 0 { body(Int(byteCount) - 1) }
    }
}
