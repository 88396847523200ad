// Makes up the sequences: first those that go through what is special one by one, then random ones. Every sequence ends
// alike: a close while blocks are live, all freed, a close, and a last block to show that the allocator still serves.

import AllocatorCore

struct SequenceGenerator {
    /// How the sizes of a random sequence are spread.
    enum Sizes: CaseIterable {
        case tiny, mixed, nearPowersOfTwo, nearLargest
    }

    var random: SeededGenerator
    let steps: Int
    let largestByteCount: Int
    let largestAlignment: Int
    let traits: AllocatorTraits
    let canResize: Bool
    let canFreeAll: Bool

    private var operations: [AllocatorOperation] = []
    private var live: [Int] = []
    private var nextID = 0

    init(
        seed: UInt64, steps: Int, largestByteCount: Int, largestAlignment: Int, traits: AllocatorTraits,
        canResize: Bool,
        canFreeAll: Bool
    ) {
        random = SeededGenerator(seed: seed)
        self.steps = steps
        self.largestByteCount = largestByteCount
        self.largestAlignment = largestAlignment
        self.traits = traits
        self.canResize = canResize
        self.canFreeAll = canFreeAll
    }

    /// What every sequence ends with a block of.
    var smallByteCount: Int { min(24, largestByteCount) }

    // MARK: - One by one

    /// As many large blocks as a small allocator has no room for, twice over, with small requests after a refusal.
    mutating func exhaustion() -> [AllocatorOperation] {
        sequence { generator in
            for _ in 0..<2 {
                for _ in 0..<60 { generator.allocate(generator.largestByteCount, 1) }
                for _ in 0..<20 { generator.allocate(generator.smallByteCount, 1) }
                for _ in 0..<40 { generator.deallocate(generator.anyLive()) }
                for _ in 0..<10 { generator.allocate(generator.largestByteCount / 2, 1) }
                while let id = generator.live.first { generator.deallocate(id) }
            }
        }
    }

    /// Every alignment with small sizes, twice over: the second time from memory that was freed.
    mutating func alignments() -> [AllocatorOperation] {
        sequence { generator in
            for _ in 0..<2 {
                var alignment = 1
                while alignment <= generator.largestAlignment {
                    for byteCount in [1, alignment, 3 * alignment + 1] where byteCount <= generator.largestByteCount {
                        generator.allocate(byteCount, alignment)
                    }
                    alignment *= 2
                }
                while let id = generator.live.last { generator.deallocate(id) }
            }
        }
    }

    mutating func zeroBytes() -> [AllocatorOperation] {
        sequence { generator in
            for alignment in [1, 8, 1, generator.largestAlignment, 1] where alignment <= generator.largestAlignment {
                generator.allocate(0, alignment)
            }
            generator.allocate(1, 1)
            generator.deallocate(generator.live[1])
            generator.allocate(0, 1)
        }
    }

    /// Requests that every allocator refuses, amid others that must go on as if nothing had been.
    mutating func impossibleRequests() -> [AllocatorOperation] {
        sequence { generator in
            var impossible: [(byteCount: Int, alignment: Int)] = [0, 3, 12, 24, -1, -8, .min, .max].flatMap {
                [(16, $0), (0, $0)]
            }
            if generator.traits.refusesHugeSizes {
                for byteCount in [Int.max, .max - 1, .max - 7, .max - 15, .max - 4096, .max / 2, .max / 2 + 1, 1 << 47]
                {
                    for alignment in [1, 8, 16, 4096] { impossible.append((byteCount, alignment)) }
                }
                for bit in [47, 55, 61, 62] { impossible.append((1, 1 << bit)) }
                impossible.append((.max, 1 << 62))
            }
            for (byteCount, alignment) in impossible {
                if generator.live.count < 12 { generator.allocate(min(16, generator.largestByteCount), 1) }
                generator.operations.append(.refused(byteCount: byteCount, alignment: alignment))
                if generator.random.chance(30) { generator.deallocate(generator.live[0]) }
            }
        }
    }

    /// Every size from 0 to 130, and those about every power of two up to the largest: each allocated, then all freed
    /// in another order.
    mutating func sizes() -> [AllocatorOperation] {
        sequence { generator in
            var sizes = Array(0...130)
            var power = 256
            while power <= generator.largestByteCount {
                sizes += [power - 1, power, power + 1]
                power *= 2
            }
            sizes += [generator.largestByteCount - 1, generator.largestByteCount]
            for byteCount in sizes where 0...generator.largestByteCount ~= byteCount {
                generator.allocate(byteCount, defaultAlignment(for: byteCount))
                if generator.live.count > 24 { generator.deallocate(generator.anyLive()) }
            }
        }
    }

    // MARK: - At random

    mutating func random(_ sizes: Sizes) -> [AllocatorOperation] {
        sequence { generator in
            let around = [3, 12, 24, 48][generator.random.below(4)]
            for _ in 0..<generator.steps { generator.randomStep(sizes, around: around) }
        }
    }

    private mutating func randomStep(_ sizes: Sizes, around: Int) {
        let choice = random.below(1000)
        if choice < 6 {
            operations.append(.close)
        } else if choice < 12, canFreeAll {
            operations.append(.freeAll)
            live = []
        } else if choice < 30 {
            operations.append(.refused(byteCount: random.below(64), alignment: [0, 3, 12, -8][random.below(4)]))
        } else if choice < 120, canResize, !live.isEmpty {
            operations.append(.resize(id: anyLive(), byteCount: size(sizes)))
        } else if live.isEmpty || live.count < 2 * around && choice < 600 || choice < 200 {
            let byteCount = size(sizes)
            allocate(byteCount, random.chance(25) ? anyAlignment() : defaultAlignment(for: byteCount))
        } else {
            // The newest, the oldest, or any.
            deallocate([live.last!, live.first!, anyLive()][random.below(3)])
        }
    }

    private mutating func size(_ sizes: Sizes) -> Int {
        let limit = largestByteCount
        let byteCount: Int
        switch sizes {
        case .tiny: byteCount = random.below(33)
        case .mixed:
            // As many about each power of two.
            let bits = Int.bitWidth - limit.leadingZeroBitCount
            byteCount = random.below(1 << (random.below(bits) + 1))
        case .nearPowersOfTwo:
            let bits = Int.bitWidth - limit.leadingZeroBitCount
            byteCount = (1 << random.below(bits)) + random.below(3) - 1
        case .nearLargest: byteCount = random.chance(50) ? limit - random.below(9) : random.below(limit + 1)
        }
        return min(max(byteCount, 0), limit)
    }

    private mutating func anyAlignment() -> Int {
        1 << random.below(largestAlignment.trailingZeroBitCount + 1)
    }

    // MARK: - Parts

    private mutating func sequence(_ body: (inout SequenceGenerator) -> Void) -> [AllocatorOperation] {
        operations = []
        live = []
        nextID = 0
        body(&self)
        if live.isEmpty { allocate(smallByteCount, 1) }
        operations.append(.close)
        while !live.isEmpty { deallocate(anyLive()) }
        operations.append(.close)
        allocate(smallByteCount, 1)
        deallocate(live[0])
        operations.append(.close)
        return operations
    }

    private mutating func allocate(_ byteCount: Int, _ alignment: Int) {
        let id = nextID
        nextID += 1
        live.append(id)
        operations.append(
            random.chance(50)
                ? .allocate(id: id, byteCount: byteCount, alignment: alignment)
                : .tryAllocate(id: id, byteCount: byteCount, alignment: alignment))
    }

    private mutating func deallocate(_ id: Int) {
        live.removeAll { $0 == id }
        operations.append(.deallocate(id: id))
    }

    private mutating func anyLive() -> Int { live[random.below(live.count)] }
}
