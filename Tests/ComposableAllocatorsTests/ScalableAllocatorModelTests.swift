// ScalableAllocator beside a model: random calls of every kind, parts of blocks included, with the contents of all
// blocks and the invariants looked at after each.

import AllocatorTestKit
import Testing

@testable import ComposableAllocators
@testable import Mallow

/// What is live, by address, and what was written there: each block's bytes are told by one number.
private struct Model {
    struct Block {
        var address: UInt
        var byteCount: Int
        /// The byte at an address is this plus the address: a part keeps it.
        var key: UInt8
    }

    var blocks: [Block] = []
    var byteCount: Int { blocks.reduce(0) { $0 + $1.byteCount } }

    static func byte(_ address: UInt, _ key: UInt8) -> UInt8 { UInt8(truncatingIfNeeded: address) &+ key }

    mutating func insert(_ block: UnsafeMutableRawBufferPointer, key: UInt8) {
        let address = UInt(bitPattern: block.baseAddress)
        for index in block.indices { block[index] = Self.byte(address + UInt(index), key) }
        blocks.append(Block(address: address, byteCount: block.count, key: key))
    }

    static func buffer(_ block: Block) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: block.address), count: block.byteCount)
    }

    static func isKept(_ block: Block) -> Bool {
        // Some bytes here and there: all of them take too long in a debug build.
        let buffer = buffer(block)
        for index in stride(from: 0, to: block.byteCount, by: max(block.byteCount / 16, 1)) + [block.byteCount - 1]
        where buffer[index] != byte(block.address + UInt(index), block.key) {
            return false
        }
        return true
    }

    var overlap: Bool {
        let sorted = blocks.sorted { $0.address < $1.address }
        return zip(sorted, sorted.dropFirst()).contains { $0.address + UInt($0.byteCount) > $1.address }
    }
}

private func + (_ stride: StrideTo<Int>, _ more: [Int]) -> [Int] { Array(stride) + more }

@Suite struct ScalableAllocatorModelTests {
    struct Setting: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var make: @Sendable () throws -> ScalableAllocator
        var largest = 600
    }

    static let settings = [
        Setting(testDescription: "tiny children") { try ScalableAllocator(initialSize: 1024, largestChild: 4096) },
        Setting(
            testDescription: "blocks of many words",
            make: { try ScalableAllocator(initialSize: 8192, largestChild: 65536, checked: true) }, largest: 12000),
        Setting(testDescription: "pages") {
            try ScalableAllocator(initialSize: 4096, largestChild: 8192, source: .pages)
        },
        Setting(
            testDescription: "without recycling", make: { try ScalableAllocator(source: .withoutRecycling) },
            largest: 2000),
        Setting(testDescription: "over another") {
            try ScalableAllocator(
                initialSize: 1024, largestChild: 2048,
                source: .upstream(ScalableAllocator(initialSize: 2048, largestChild: 8192)))
        },
    ]

    @Test(arguments: settings, 1...2)
    func randomCalls(_ setting: Setting, _ seed: UInt64) throws {
        let allocator = try setting.make()
        let recycles = allocator.source.recycles
        var random = SeededRandom(seed: seed)
        func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
        var model = Model()
        for step in 0..<700 {
            let choice = below(100)
            let growing = step / 100 % 2 == 0
            var ended = false
            let moment = allocator.moment
            if model.blocks.isEmpty || choice < (growing ? 45 : 25) {
                let small = below(4) > 0
                let byteCount = below(small ? setting.largest / 8 : setting.largest)
                let alignment = below(8) == 0 ? 1 << below(11) : 1 << below(5)
                let block = try allocator.allocate(byteCount: byteCount, alignment: alignment)
                #expect(block.count == max((byteCount + 15) / 16 * 16, 16))
                #expect(UInt(bitPattern: block.baseAddress) % UInt(alignment) == 0)
                model.insert(block, key: UInt8(truncatingIfNeeded: random.next()))
            } else if choice < 60 {
                // The newest as often as any.
                let index = below(2) == 0 ? model.blocks.count - 1 : below(model.blocks.count)
                let block = model.blocks.remove(at: index)
                #expect(Model.isKept(block), "contents changed")
                #expect(allocator.byteCount(of: Model.buffer(block).baseAddress!) == block.byteCount)
                #expect(allocator.owns(Model.buffer(block).baseAddress!))
                allocator.deallocate(Model.buffer(block))
            } else if choice < 78 {
                freePart(of: below(model.blocks.count), allocator, &model, &random)
            } else if choice < 84 {
                let index = below(model.blocks.count)
                let block = model.blocks[index]
                let kept = below(block.byteCount + 1)
                let left = allocator.freeRest(of: Model.buffer(block).baseAddress!, keeping: kept)
                #expect(left.count == max((kept + 15) / 16 * 16, 16))
                model.blocks[index].byteCount = left.count
            } else if choice < 94 {
                resize(below(model.blocks.count), allocator, &model, &random, recycles: recycles)
            } else if choice < 98 {
                let byteCount = below(setting.largest)
                var memory = try allocator.borrow(byteCount: byteCount, alignment: 1 << below(8))
                // What is borrowed is nobody's: writing it changes no block.
                memory.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0xff) }
            } else if choice == 98 {
                allocator.trim()
                #expect(recycles || allocator.heldByteCount == allocator.usedByteCount + allocator.freeByteCount)
            } else if below(3) == 0 {
                if below(2) == 0 { allocator.recycle() } else { allocator.freeAll() }
                model.blocks = []
                ended = true
            }
            if step % 8 == 0 || ended {
                #expect(model.blocks.allSatisfy(Model.isKept), "contents changed")
                #expect(!model.overlap)
            }
            // B1, but for the empty part and for what is not counted where nothing is checked.
            let mayStay =
                choice == 99 && !ended || (60..<78).contains(choice)
                || (94..<98).contains(choice) && !allocator.isChecked
            #expect(allocator.moment > moment || allocator.moment == moment && mayStay)
            let broken = allocator.brokenInvariant()
            try #require(broken == nil, "step \(step), call \(choice)")
            try #require(
                allocator.usedByteCount == model.byteCount && allocator.statistics.liveBlocks == model.blocks.count)
            if model.blocks.isEmpty { #expect(allocator.findLeaks() == nil) }
        }
        #expect(model.blocks.allSatisfy(Model.isKept))
        for block in model.blocks { allocator.deallocate(Model.buffer(block)) }
        #expect(allocator.brokenInvariant() == nil)
        try allocator.close()
        #expect(allocator.heldByteCount == 0 && allocator.childCount == 0 && allocator.brokenInvariant() == nil)
    }

    /// A head, a tail, a middle or all, at any byte.
    private func freePart(
        of index: Int, _ allocator: ScalableAllocator, _ model: inout Model, _ random: inout SeededRandom
    ) {
        let block = model.blocks.remove(at: index)
        var start = Int(random.next() % UInt64(block.byteCount))
        var end = start + Int(random.next() % UInt64(block.byteCount - start + 1))
        switch random.next() % 4 {
        case 0: start = 0
        case 1: end = block.byteCount
        default: break
        }
        let freed = allocator.deallocate(
            part: UnsafeMutableRawBufferPointer(rebasing: Model.buffer(block)[start..<end]))
        let (lower, upper) = ((start + 15) / 16 * 16, end / 16 * 16)
        #expect(freed.count == max(upper - lower, 0))
        guard lower < upper else { return model.blocks.append(block) }
        #expect(UInt(bitPattern: freed.baseAddress) == block.address + UInt(lower))
        if lower > 0 {
            model.blocks.append(Model.Block(address: block.address, byteCount: lower, key: block.key))
        }
        if upper < block.byteCount {
            model.blocks.append(
                Model.Block(
                    address: block.address + UInt(upper), byteCount: block.byteCount - upper, key: block.key))
        }
    }

    private func resize(
        _ index: Int, _ allocator: ScalableAllocator, _ model: inout Model, _ random: inout SeededRandom,
        recycles: Bool
    ) {
        let block = model.blocks[index]
        let byteCount = Int(random.next() % UInt64(2 * block.byteCount + 2))
        let needed = max((byteCount + 15) / 16 * 16, 16)
        guard let resized = allocator.resize(Model.buffer(block).baseAddress!, byteCount: byteCount) else {
            #expect(needed > block.byteCount)
            return
        }
        #expect(resized.count == needed && UInt(bitPattern: resized.baseAddress) == block.address)
        #expect(recycles || needed <= block.byteCount)
        model.blocks[index].byteCount = needed
        for offset in stride(from: block.byteCount, to: needed, by: 1) {
            resized[offset] = Model.byte(block.address + UInt(offset), block.key)
        }
    }

    // MARK: - A source that fails

    @Test func everyRequestToTheSourceFailsOnce() throws {
        var failures = 0
        for number in 1... {
            let upstream = FailingAllocator(plan: .request(number))
            let allocator = try ScalableAllocator(initialSize: 1024, largestChild: 4096, source: .upstream(upstream))
            var random = SeededRandom(seed: UInt64(number))
            var live: [UnsafeMutableRawBufferPointer] = []
            for step in 0..<250 {
                let byteCount = Int(random.next() % (step % 20 == 0 ? 9000 : 500))
                if step % 3 == 2, !live.isEmpty {
                    allocator.deallocate(live.remove(at: Int(random.next() % UInt64(live.count))))
                } else if step % 17 == 0 {
                    _ = try? allocator.withBorrowed(byteCount: byteCount) { $0.byteCount }
                } else if let block = allocator.tryAllocate(byteCount: byteCount, alignment: 16) {
                    live.append(block)
                }
                try #require(allocator.brokenInvariant() == nil)
            }
            failures += upstream.failureCount
            for block in live { allocator.deallocate(block) }
            try allocator.close()
            #expect(upstream.findLeaks() == nil)
            if upstream.failureCount == 0 { break }
        }
        #expect(failures >= 10)
    }

    @Test func withoutMemoryAnErrorAndNothingElse() throws {
        let upstream = FailingAllocator(plan: .after(1))
        let allocator = try ScalableAllocator(initialSize: 1024, largestChild: 4096, source: .upstream(upstream))
        let block = try allocator.allocate(byteCount: 900)
        let before = allocator.statistics
        #expect(reason(allocator, 500) == .outOfMemory)
        #expect(reason(allocator, 5000) == .outOfMemory)
        #expect(reason(allocator, 100, 512) == .outOfMemory)
        #expect(reason(allocator, 1 << 47) == .tooLarge(limit: 1 << 46))
        #expect(reason(allocator, 8, 3) == .invalidAlignment)
        #expect(throws: AllocationError.self) { try allocator.withBorrowed(byteCount: 5000) { _ in } }
        #expect(allocator.statistics == before && allocator.brokenInvariant() == nil)
        allocator.deallocate(block)
        #expect(throws: Never.self) { try allocator.close() }
    }

    /// A source with a limit: what is empty and too small is given back before a request is refused.
    @Test func emptyChildrenMakeRoom() throws {
        let quota = try QuotaAllocator(limit: 6000)
        let allocator = try ScalableAllocator(initialSize: 1024, largestChild: 4096, source: .upstream(quota))
        allocator.deallocate(try allocator.allocate(byteCount: 1000))
        allocator.deallocate(try allocator.allocate(byteCount: 2000))
        #expect(allocator.heldByteCount > 0)
        allocator.deallocate(try allocator.allocate(byteCount: 5500))
        // Twice the size is refused, the size is not.
        let one = try allocator.allocate(byteCount: 1000)
        let two = try allocator.allocate(byteCount: 2000)
        let three = try allocator.allocate(byteCount: 500)
        #expect(allocator.brokenInvariant() == nil)
        for block in [one, two, three] { allocator.deallocate(block) }
        try allocator.close()
        #expect(quota.findLeaks() == nil)
    }
}
