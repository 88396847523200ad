// Holds an allocator to the contract: sequences of operations, each on a new allocator, beside a model. What fails is
// shortened and thrown as a ContractViolation.
//
// Cost: some 4 systematic and 8 random sequences; a tenth of a second for a good allocator in a debug build.
// Thread-safety: the check runs on the calling thread. See `checkSharedAllocator` for allocators that threads share.

public import AllocatorCore

/// Holds an allocator to the whole contract of `Allocator` and of every capability that it conforms to.
///
/// Call it in a test of each allocator, and of each composition in use:
///
///     try checkAllocator { try FixedBlockAllocator(blockSize: 64, alignment: 16, pageSize: 4096) }
///
/// It asks for every alignment, zero bytes, sizes that no one can serve, and random sequences with several
/// distributions of sizes. It writes all that it is given and looks whether it stays; it compares statistics,
/// ownership, sizes, resizing, `freeAll`, leak reports and `close()` with a model after each step.
///
/// - Parameters:
///   - seed: with which random sequences begin; the same seed makes the same sequences.
///   - sequences: how many random sequences.
///   - steps: how many operations each.
///   - maximumByteCount: the largest request, where the allocator serves so much.
///   - maximumAlignment: the largest alignment, where the allocator offers so much; a power of two.
///   - traits: what is special about the allocator.
///   - shrinkingTime: how long a failure may be shortened.
///   - make: makes a new allocator, for each sequence.
/// - Throws: ``ContractViolation``, or what `make` throws. Misuse (C5) is not tried, since it must end the process.
public func checkAllocator<A: Allocator>(
    seed: UInt64 = 1, sequences: Int = 8, steps: Int = 300, maximumByteCount: Int = 8192, maximumAlignment: Int = 4096,
    traits: AllocatorTraits = AllocatorTraits(), shrinkingTime: Duration = .seconds(5), make: () throws -> A
) throws {
    try Checker(
        seed: seed, sequences: sequences, steps: steps, maximumByteCount: maximumByteCount,
        maximumAlignment: maximumAlignment, traits: traits, shrinkingTime: shrinkingTime
    ).check { try make() as any Allocator }
}

/// Holds an allocator of a type that is known only at run time to the contract.
@_disfavoredOverload
public func checkAllocator(
    seed: UInt64 = 1, sequences: Int = 8, steps: Int = 300, maximumByteCount: Int = 8192, maximumAlignment: Int = 4096,
    traits: AllocatorTraits = AllocatorTraits(), shrinkingTime: Duration = .seconds(5), make: () throws -> any Allocator
) throws {
    try Checker(
        seed: seed, sequences: sequences, steps: steps, maximumByteCount: maximumByteCount,
        maximumAlignment: maximumAlignment, traits: traits, shrinkingTime: shrinkingTime
    ).check(make)
}

/// Holds a noncopyable allocator to the contract of `Allocator`. Its further capabilities cannot be found at run time,
/// and are not checked.
@_disfavoredOverload
public func checkAllocator<A: Allocator & ~Copyable>(
    seed: UInt64 = 1, sequences: Int = 8, steps: Int = 300, maximumByteCount: Int = 8192, maximumAlignment: Int = 4096,
    traits: AllocatorTraits = AllocatorTraits(), shrinkingTime: Duration = .seconds(5), make: () throws -> A
) throws {
    try Checker(
        seed: seed, sequences: sequences, steps: steps, maximumByteCount: maximumByteCount,
        maximumAlignment: maximumAlignment, traits: traits, shrinkingTime: shrinkingTime
    ).check { Holder(try make()) }
}

struct Checker {
    let seed: UInt64
    let sequences: Int
    let steps: Int
    let maximumByteCount: Int
    let maximumAlignment: Int
    let traits: AllocatorTraits
    let shrinkingTime: Duration

    func check(_ make: () throws -> any Allocator) throws {
        precondition(maximumByteCount >= 1, "maximumByteCount must be at least 1")
        precondition(
            maximumAlignment > 0 && maximumAlignment & (maximumAlignment - 1) == 0,
            "maximumAlignment must be a power of two")
        let subject = Subject(try make())
        var largest = maximumByteCount
        var largestAlignment = maximumAlignment
        do throws(Finding) {
            largest = try largestByteCount(subject.allocator)
            largestAlignment = self.largestAlignment(subject.allocator)
        } catch {
            throw violation(error, subject, [])
        }

        var generator = SequenceGenerator(
            seed: seed, steps: steps, largestByteCount: largest, largestAlignment: largestAlignment, traits: traits,
            canResize: subject.resizable != nil, canFreeAll: subject.resettable != nil)
        let small = generator.smallByteCount
        try check(generator.alignments(), small, make)
        try check(generator.exhaustion(), small, make)
        try check(generator.zeroBytes(), small, make)
        try check(generator.sizes(), small, make)
        try check(generator.impossibleRequests(), small, make)
        try checkGoodSizes(make, largest, largestAlignment)
        let distributions = SequenceGenerator.Sizes.allCases
        for number in 0..<sequences {
            try check(generator.random(distributions[number % distributions.count]), small, make)
        }
    }

    private func violation(_ finding: Finding, _ subject: Subject, _ operations: [AllocatorOperation])
        -> ContractViolation
    {
        ContractViolation(
            allocator: subject.name, clause: finding.clause, subject: finding.subject, explanation: finding.explanation,
            seed: seed, operations: operations)
    }

    /// Runs a sequence on a new allocator, and shortens it if it fails.
    private func check(
        _ operations: [AllocatorOperation], _ small: Int, _ make: () throws -> any Allocator
    ) throws {
        guard let (finding, length) = Self.run(operations, try make(), traits, small) else { return }
        let shortest = withoutActuallyEscaping(make) { make in
            var shrinker = Shrinker(Array(operations.prefix(length)), finding, time: shrinkingTime) { candidate in
                guard let allocator = try? make() else { return nil }
                return Self.run(candidate, allocator, traits, small)
            }
            return shrinker.shrink()
        }
        // Once more, for a sentence that speaks of the short sequence.
        let subject = Subject(try make())
        let short = Self.run(shortest, subject.allocator, traits, small)?.finding ?? finding
        throw violation(short, subject, shortest)
    }

    static func run(
        _ operations: [AllocatorOperation], _ allocator: any Allocator, _ traits: AllocatorTraits,
        _ small: Int
    ) -> (finding: Finding, length: Int)? {
        do throws(Finding) {
            var runner = try SequenceRunner(allocator, traits, smallByteCount: small)
            do throws(Finding) { try runner.run(operations) } catch { return (error, runner.step + 1) }
            runner.abandon()
            return nil
        } catch {
            return (error, 0)
        }
    }

    // MARK: - What the allocator serves

    private func largestByteCount(_ allocator: any Allocator) throws(Finding) -> Int {
        func serves(_ byteCount: Int) -> Bool {
            // More than once, where it refuses by chance.
            for _ in 0..<(traits.refusesAtRandom ? 8 : 1) {
                if let block = allocator.tryAllocate(byteCount: byteCount, alignment: 1) {
                    if let base = block.baseAddress { allocator.deallocate(base) }
                    return true
                }
            }
            return false
        }
        if let largest = traits.largestByteCount { return min(largest, maximumByteCount) }
        if serves(maximumByteCount) { return maximumByteCount }
        var served = 1
        var refused = maximumByteCount
        if !serves(served), !traits.refusesAtRandom {
            throw Finding(.refusals, "first request", "a new allocator refuses a single byte")
        }
        while served + 1 < refused {
            let middle = (served + refused) / 2
            if serves(middle) { served = middle } else { refused = middle }
        }
        return served
    }

    private func largestAlignment(_ allocator: any Allocator) -> Int {
        if let largest = traits.largestAlignment { return min(largest, maximumAlignment) }
        var largest = 1
        while largest < maximumAlignment {
            var block: UnsafeMutableRawBufferPointer?
            for _ in 0..<(traits.refusesAtRandom ? 8 : 1) where block == nil {
                block = allocator.tryAllocate(byteCount: 1, alignment: largest * 2)
            }
            guard let block, let base = block.baseAddress else { break }
            allocator.deallocate(base)
            largest *= 2
        }
        return largest
    }

    /// What `goodSize` says is what a new allocator gives, and asking for that much gives no more.
    private func checkGoodSizes(_ make: () throws -> any Allocator, _ largest: Int, _ largestAlignment: Int) throws {
        let subject = Subject(try make())
        let allocator = subject.allocator
        var random = SeededGenerator(seed: seed)
        for step in 0..<200 {
            let byteCount = step <= 100 ? min(step, largest) : random.below(largest + 1)
            let alignment =
                step % 2 == 0
                ? defaultAlignment(for: byteCount) : 1 << random.below(largestAlignment.trailingZeroBitCount + 1)
            let operation = AllocatorOperation.allocate(id: 0, byteCount: byteCount, alignment: alignment)
            func fail(_ explanation: String) -> ContractViolation {
                violation(Finding(.capabilities, "goodSize", explanation), subject, [operation])
            }
            let good = allocator.goodSize(for: byteCount, alignment: alignment)
            if good < byteCount { throw fail("goodSize(for: \(byteCount), alignment: \(alignment)) is \(good)") }
            guard traits.givesGoodSize, !traits.refusesAtRandom else { continue }
            guard let block = allocator.tryAllocate(byteCount: byteCount, alignment: alignment) else { continue }
            let count = block.count
            allocator.deallocate(block)
            if count != good {
                throw fail(
                    "goodSize(for: \(byteCount), alignment: \(alignment)) is \(good), and a request gives \(count)")
            }
            let again = allocator.goodSize(for: good, alignment: alignment)
            if again != good {
                throw fail(
                    "goodSize(for: \(byteCount), alignment: \(alignment)) is \(good), and that of \(good) is \(again)")
            }
        }
    }
}
