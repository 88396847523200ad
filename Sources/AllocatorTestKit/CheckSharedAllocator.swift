// Holds an allocator that threads share to what it promises under threads: they allocate, pass blocks to one another
// and free them. Where threads meet is random, so that a race may be missed; run it under the thread sanitizer too.

public import AllocatorCore

/// Holds a thread-safe allocator to its contract while threads share it; call `checkAllocator` for the rest of the
/// contract.
///
/// Threads allocate, write, pass blocks to one another and free their own and others' blocks. Then more threads free
/// what those before them left. Contents must be kept throughout, and the account right whenever no thread runs.
///
/// - Parameters:
///   - seed: what each thread does follows from it; when it does so, does not.
///   - threads: how many run at once.
///   - steps: how many operations each.
///   - maximumByteCount: the largest request.
///   - traits: what is special about the allocator.
///   - make: makes the allocator.
/// - Throws: ``ContractViolation``, without operations, or what `make` throws.
public func checkSharedAllocator<A: Allocator & Sendable>(
    seed: UInt64 = 1, threads: Int = 4, steps: Int = 2000, maximumByteCount: Int = 2048,
    traits: AllocatorTraits = AllocatorTraits(), make: () throws -> A
) throws {
    precondition(threads >= 1 && steps >= 0 && maximumByteCount >= 1, "at least one thread, and one byte")
    let allocator = try make()
    let round = SharedRound(
        allocator: allocator, seed: seed, largest: min(maximumByteCount, traits.largestByteCount ?? .max))
    func violation(_ finding: Finding) -> ContractViolation {
        ContractViolation(
            allocator: Subject(allocator).name, clause: finding.clause, subject: finding.subject,
            explanation: finding.explanation + " (\(threads) threads, \(steps) steps each)", seed: seed, operations: [])
    }
    do throws(Finding) {
        let fresh = Subject(allocator).measured?.statistics ?? AllocatorStatistics()
        Threads.run(threads) { round.allocateAndPass(thread: $0, steps: steps) }
        try round.checkAtRest(traits, "the threads had ended")
        // Others free what those that have ended left.
        Threads.run(threads) { _ in round.freeShared() }
        try round.checkAtRest(traits, "other threads had freed all")
        do throws(LeakError) { try allocator.close() } catch {
            throw Finding(.capabilities, "close", "nothing is live, and close() throws \"\(error)\"")
        }
        if let statistics = Subject(allocator).measured?.statistics, statistics.heldBytes > fresh.heldBytes {
            throw Finding(
                .capabilities, "close",
                "after close() heldBytes is \(statistics.heldBytes); it was \(fresh.heldBytes) in the new allocator")
        }
    } catch {
        throw violation(error)
    }
}

private final class SharedRound<A: Allocator & Sendable>: Sendable {
    struct Block: @unchecked Sendable {
        var base: UnsafeMutableRawPointer
        var count: Int
        var id: Int
    }

    struct State {
        var passed: [Block] = []
        var finding: Finding?
        var allocatedBlocks = 0
        var allocatedBytes = 0
    }

    let allocator: A
    let seed: UInt64
    let largest: Int
    let state = Locked(State())

    init(allocator: A, seed: UInt64, largest: Int) {
        self.allocator = allocator
        self.seed = seed
        self.largest = largest
    }

    func allocateAndPass(thread: Int, steps: Int) {
        var random = SeededGenerator(seed: seed &+ UInt64(thread) &* 0x1_0001)
        var mine: [Block] = []
        var blocks = 0
        var bytes = 0
        for step in 0..<steps {
            let choice = random.below(100)
            if choice < 45 || mine.isEmpty && choice < 70 {
                guard let block = allocate(id: thread * steps + step, &random) else { continue }
                mine.append(block)
                blocks += 1
                bytes += block.count
            } else if choice < 65, !mine.isEmpty {
                free(mine.remove(at: random.below(mine.count)))
            } else if choice < 80, !mine.isEmpty {
                let block = mine.remove(at: random.below(mine.count))
                state.withLock { $0.passed.append(block) }
            } else if let block = take(random.below(1 << 20)) {
                if random.chance(70) { free(block) } else { mine.append(block) }
            }
            if step % 64 == 0, state.withLock({ $0.finding }) != nil { break }
        }
        state.withLock {
            $0.passed += mine
            $0.allocatedBlocks += blocks
            $0.allocatedBytes += bytes
        }
    }

    func freeShared() {
        while let block = take(0) { free(block) }
    }

    private func take(_ choice: Int) -> Block? {
        state.withLock { $0.passed.isEmpty ? nil : $0.passed.remove(at: choice % $0.passed.count) }
    }

    private func allocate(id: Int, _ random: inout SeededGenerator) -> Block? {
        let byteCount = random.below(min(largest, 1 << random.below(Int.bitWidth - largest.leadingZeroBitCount)) + 1)
        let alignment = random.chance(20) ? 16 : defaultAlignment(for: byteCount)
        let block =
            random.chance(50)
            ? allocator.tryAllocate(byteCount: byteCount, alignment: alignment)
            : try? allocator.allocate(byteCount: byteCount, alignment: alignment)
        guard let block else { return nil }
        guard let base = block.baseAddress, UInt(bitPattern: base) % UInt(alignment) == 0, block.count >= byteCount
        else {
            report(
                Finding(.usableBytes, "block", "\(byteCount) bytes, aligned to \(alignment), were given as \(block)"))
            return nil
        }
        Pattern.fill(base, byteCount: block.count, id: id)
        return Block(base: base, count: block.count, id: id)
    }

    private func free(_ block: Block) {
        guard hasItsContents(block) else { return }
        allocator.deallocate(block.base)
    }

    private func hasItsContents(_ block: Block) -> Bool {
        guard let at = Pattern.firstDifference(block.base, byteCount: block.count, id: block.id) else { return true }
        report(Finding(.separateBlocks, "contents", "a block of \(block.count) bytes had changed at byte \(at)"))
        return false
    }

    private func report(_ finding: Finding) {
        state.withLock { if $0.finding == nil { $0.finding = finding } }
    }

    /// What must hold when no thread runs.
    func checkAtRest(_ traits: AllocatorTraits, _ moment: String) throws(Finding) {
        let live = state.withLock { $0.passed }
        for block in live where !hasItsContents(block) { break }
        let (finding, blocks, bytes) = state.withLock { ($0.finding, $0.allocatedBlocks, $0.allocatedBytes) }
        if let finding { throw finding }
        let sorted = live.sorted { $0.base < $1.base }
        for (left, right) in zip(sorted, sorted.dropFirst()) where left.base + max(left.count, 1) > right.base {
            throw Finding(.separateBlocks, "overlap", "two blocks overlapped when \(moment)")
        }
        let liveBytes = live.reduce(0) { $0 + $1.count }
        let subject = Subject(allocator)
        if let leak = allocator.findLeaks(), live.isEmpty {
            throw Finding(
                .capabilities, "findLeaks", "nothing was live when \(moment), and findLeaks() said \"\(leak)\"")
        }
        let leakReporting = traits.leakReporting ?? (subject.measured == nil ? .some : .everything)
        if leakReporting == .everything, !live.isEmpty {
            let leak = allocator.findLeaks()
            if leak?.blocks != live.count || leak?.bytes != liveBytes {
                throw Finding(
                    .capabilities, "findLeaks",
                    "\(live.count) blocks of \(liveBytes) bytes were live when \(moment), and findLeaks() said "
                        + (leak.map { "\"\($0)\"" } ?? "nothing"))
            }
        }
        for block in live where subject.tellsOwn && !allocator._owns(block.base) {
            throw Finding(.capabilities, "owns", "a live block was not owned when \(moment)")
        }
        guard let statistics = subject.measured?.statistics else { return }
        let expected = [
            ("liveBlocks", statistics.liveBlocks, live.count), ("liveBytes", statistics.liveBytes, liveBytes),
            ("totalBlocks", statistics.totalBlocks, blocks), ("totalBytes", statistics.totalBytes, bytes),
        ]
        for (field, actual, right) in expected where actual != right {
            throw Finding(
                .capabilities, "statistics.\(field)", "\(field) was \(actual) when \(moment) and must be \(right)")
        }
        if statistics.freeBytes < 0 || statistics.overheadBytes < 0 || statistics.peakBlocks < live.count
            || statistics.peakBytes < liveBytes || statistics.peakBlocks > blocks
        {
            throw Finding(.capabilities, "statistics", "when \(moment) the account did not add up: \(statistics)")
        }
    }
}
