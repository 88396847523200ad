// Runs a sequence of operations on a new allocator beside a model, and throws a Finding where the two differ.
//
// The model: the live blocks by number, each with its extent, filled with its own pattern, and the statistics that
// follow from what was handed out. After each step: statistics, leaks and foreign pointers; every 16th step and at the
// end the contents of all blocks; a block's own contents whenever it is freed or resized.
//
// A run that finds something stops there and frees nothing more: the allocator cannot be trusted with it.

import AllocatorCore

struct SequenceRunner {
    struct Block {
        var base: UnsafeMutableRawPointer
        /// What the buffer's count is.
        var count: Int
        /// What may be used: the count, or more where the allocator says that a block has more.
        var extent: Int
        var alignment: Int
    }

    let subject: Subject
    let traits: AllocatorTraits
    var blocks: [Int: Block] = [:]
    /// In the order of their allocation, so that a run does not depend on hashing.
    var order: [Int] = []
    var expected = AllocatorStatistics()
    let fresh: AllocatorStatistics
    /// The step that is being run.
    private(set) var step = 0
    /// What a new allocator serves, aligned to 1, and so one of which no block is live.
    let smallByteCount: Int
    /// Whether nothing was handed out since the allocator was new, closed, or freed as a whole.
    private var isAsNew = true

    init(_ allocator: any Allocator, _ traits: AllocatorTraits, smallByteCount: Int) throws(Finding) {
        self.smallByteCount = smallByteCount
        subject = Subject(allocator)
        self.traits = traits
        fresh = subject.measured?.statistics ?? AllocatorStatistics()
        try checkAccount("a new allocator")
    }

    /// Whether no allocator can serve the request.
    static func isImpossible(_ byteCount: Int, _ alignment: Int) -> Bool {
        byteCount >= 1 << 47 || alignment >= 1 << 47 || !isPowerOfTwo(alignment)
    }

    private static func isPowerOfTwo(_ value: Int) -> Bool { value > 0 && value & (value - 1) == 0 }

    mutating func run(_ operations: [AllocatorOperation]) throws(Finding) {
        for (index, operation) in operations.enumerated() {
            step = index
            try perform(operation)
            try checkAccount("this operation")
            if index % 16 == 15 { try checkAllContents("at a look at all blocks") }
        }
        try checkAllContents("at the end")
    }

    /// Frees what is left, without looking at it.
    mutating func abandon() {
        for id in order { subject.allocator.deallocate(blocks[id]!.base) }
        blocks = [:]
        order = []
    }

    private mutating func perform(_ operation: AllocatorOperation) throws(Finding) {
        switch operation {
        case .allocate(let id, let byteCount, let alignment):
            try request(id, byteCount, alignment, throwing: true)
        case .tryAllocate(let id, let byteCount, let alignment):
            try request(id, byteCount, alignment, throwing: false)
        case .refused(let byteCount, let alignment):
            try request(-1, byteCount, alignment, throwing: true)
        case .deallocate(let id): try deallocate(id)
        case .resize(let id, let byteCount): try resize(id, byteCount)
        case .freeAll: try freeAll()
        case .close: try close()
        }
    }

    // MARK: - Requests

    private mutating func request(_ id: Int, _ byteCount: Int, _ alignment: Int, throwing: Bool) throws(Finding) {
        var block: UnsafeMutableRawBufferPointer?
        if throwing {
            do throws(AllocationError) {
                block = try subject.allocator.allocate(byteCount: byteCount, alignment: alignment)
            } catch {
                if !Self.isPowerOfTwo(alignment), error.reason != .invalidAlignment {
                    throw Finding(
                        .refusals, "alignment",
                        "alignment \(alignment) is no power of two, and the error says \"\(error)\"")
                }
            }
        } else {
            block = subject.allocator.tryAllocate(byteCount: byteCount, alignment: alignment)
        }
        let request = "a request for \(byteCount) bytes, aligned to \(alignment),"
        if Self.isImpossible(byteCount, alignment) {
            if block != nil {
                throw Finding(.refusals, "impossible request", "\(request) was served, and none can serve it")
            }
        }
        guard let block else { return try refused(byteCount, alignment) }
        guard id >= 0 else {
            // Recorded as refused elsewhere: served here, and of no use.
            subject.allocator.deallocate(block)
            expected.enter(byteCount: block.count)
            expected.leave(byteCount: block.count)
            return
        }
        try enter(id, block, byteCount, alignment)
    }

    private mutating func refused(_ byteCount: Int, _ alignment: Int) throws(Finding) {
        let request = "a request for \(byteCount) bytes, aligned to \(alignment),"
        try checkAccount("a refusal", as: .refusals)
        if byteCount == 0, Self.isPowerOfTwo(alignment), alignment <= 8, !traits.refusesAtRandom,
            subject.allocator.tryAllocate(byteCount: 1, alignment: alignment) != nil
        {
            throw Finding(.zeroBytes, "refusal", "\(request) was refused, and one for 1 byte was served")
        }
        if Self.isImpossible(byteCount, alignment) {
            do throws(Finding) { try checkAllContents("after a refusal") } catch {
                throw Finding(.refusals, error.subject, error.explanation)
            }
        }
        if traits.refusesAtRandom { return }
        if blocks.isEmpty, isAsNew || traits.reusesFreedMemory, byteCount <= smallByteCount, alignment == 1 {
            throw Finding(
                .refusals, "reuse",
                "\(request) was refused while nothing was live (see AllocatorTraits.reusesFreedMemory)")
        }
        // What was refused is refused again, by either way of asking, and takes no memory by the way. The first refusal
        // may have: records that grew.
        let held = subject.measured?.statistics.heldBytes ?? 0
        for throwing in [false, true, false] {
            let again =
                throwing
                ? try? subject.allocator.allocate(byteCount: byteCount, alignment: alignment)
                : subject.allocator.tryAllocate(byteCount: byteCount, alignment: alignment)
            if again != nil {
                throw Finding(
                    .refusals, "tryAllocate",
                    "\(request) was refused, and served by \(throwing ? "allocate" : "tryAllocate") just after")
            }
        }
        if let after = subject.measured?.statistics.heldBytes, after > held {
            throw Finding(
                .refusals, "statistics.heldBytes",
                "\(request) was refused three times, and heldBytes rose from \(held) to \(after)")
        }
    }

    private mutating func enter(
        _ id: Int, _ block: UnsafeMutableRawBufferPointer, _ byteCount: Int, _ alignment: Int
    ) throws(Finding) {
        let request = "a request for \(byteCount) bytes, aligned to \(alignment),"
        let clause: ContractViolation.Clause = byteCount == 0 ? .zeroBytes : .usableBytes
        guard let base = block.baseAddress else { throw Finding(clause, "address", "\(request) was given no address") }
        if UInt(bitPattern: base) & UInt(bitPattern: alignment - 1) != 0 {
            throw Finding(.usableBytes, "alignment", "\(request) was given the address \(base)")
        }
        if block.count < byteCount {
            throw Finding(clause, "count", "\(request) was given \(block.count) bytes")
        }
        let good = subject.allocator.goodSize(for: byteCount, alignment: alignment)
        if good < byteCount {
            throw Finding(.capabilities, "goodSize", "goodSize(for: \(byteCount), alignment: \(alignment)) is \(good)")
        }
        var extent = block.count
        if let reported = subject.byteCount(of: base) {
            if reported < block.count {
                throw Finding(
                    .capabilities, "byteCount(of:)",
                    "\(request) was given \(block.count) bytes, which are said to be \(reported)")
            }
            extent = reported
        }
        for other in order {
            let it = blocks[other]!
            // A block without bytes takes its address: freeing by address could not tell it from another.
            if base < it.base + max(it.extent, 1), it.base < base + max(extent, 1) {
                throw Finding(
                    .separateBlocks, "overlap",
                    "\(request) was given \(base)..<\(base + extent), and b\(other) is \(it.base)..<\(it.base + it.extent)"
                )
            }
        }
        Pattern.fill(base, byteCount: extent, id: id)
        blocks[id] = Block(base: base, count: block.count, extent: extent, alignment: alignment)
        order.append(id)
        isAsNew = false
        expected.enter(byteCount: block.count)
    }

    // MARK: - Blocks that are live

    private mutating func deallocate(_ id: Int) throws(Finding) {
        guard let block = blocks[id] else { return }
        try checkContents(id, "when it was freed")
        blocks[id] = nil
        order.removeAll { $0 == id }
        expected.leave(byteCount: block.count)
        if subject.tellsOwn, id % 4 == 3 {
            if !subject.allocator._deallocateIfOwned(block.base) {
                throw Finding(
                    .capabilities, "owns", "_deallocateIfOwned says that b\(id), which is live, is not its own")
            }
        } else {
            subject.allocator.deallocate(block.base)
        }
    }

    private mutating func resize(_ id: Int, _ byteCount: Int) throws(Finding) {
        guard var block = blocks[id], let resizable = subject.resizable else { return }
        try checkContents(id, "when it was resized")
        guard let resized = resizable.resize(block.base, byteCount: byteCount) else {
            return try checkContents(id, "after a resize that was declined")
        }
        let what = "b\(id), of \(block.count) bytes, resized to \(byteCount),"
        if resized.baseAddress != block.base { throw Finding(.capabilities, "resize", "\(what) was moved") }
        if resized.count < byteCount || Self.isImpossible(byteCount, 1) {
            throw Finding(.capabilities, "resize", "\(what) has \(resized.count) bytes")
        }
        var extent = resized.count
        if let reported = subject.byteCount(of: block.base) {
            if reported < resized.count {
                throw Finding(
                    .capabilities, "byteCount(of:)",
                    "\(what) has \(resized.count) bytes, which are said to be \(reported)")
            }
            extent = reported
        }
        for other in order where other != id {
            let it = blocks[other]!
            if block.base < it.base + max(it.extent, 1), it.base < block.base + max(extent, 1) {
                throw Finding(.separateBlocks, "overlap", "\(what) reaches into b\(other)")
            }
        }
        let kept = min(block.count, resized.count)
        if let at = Pattern.firstDifference(block.base, byteCount: kept, id: id) {
            throw Finding(.capabilities, "resize", "\(what) lost its contents at byte \(at)")
        }
        let old = block.count
        block.count = resized.count
        block.extent = extent
        blocks[id] = block
        Pattern.fill(block.base, byteCount: extent, id: id)
        expected.liveBytes += resized.count - old
        expected.peakBytes = max(expected.peakBytes, expected.liveBytes)
        // Bytes by which a block grows may count as allocated or not.
        if let total = subject.measured?.statistics.totalBytes,
            total == expected.totalBytes + max(resized.count - old, 0)
        {
            expected.totalBytes = total
        }
    }

    private mutating func freeAll() throws(Finding) {
        guard let resettable = subject.resettable else { return }
        try checkAllContents("when all were freed")
        resettable.freeAll()
        forgetAll()
    }

    private mutating func forgetAll() {
        blocks = [:]
        order = []
        isAsNew = true
        expected.liveBlocks = 0
        expected.liveBytes = 0
    }

    private mutating func close() throws(Finding) {
        if blocks.isEmpty {
            do throws(LeakError) { try subject.allocator.close() } catch {
                throw Finding(.capabilities, "close", "nothing is live, and close() throws \"\(error)\"")
            }
            isAsNew = true
            if let held = subject.measured?.statistics.heldBytes, held > fresh.heldBytes {
                throw Finding(
                    .capabilities, "close",
                    "after close() heldBytes is \(held); it was \(fresh.heldBytes) in the new allocator")
            }
            return
        }
        if leakReporting == .nothing { return }
        let before = subject.allocator.findLeaks()
        var leak: LeakError?
        do throws(LeakError) { try subject.allocator.close() } catch { leak = error }
        if let leak {
            try check(leak, "close()", subject: "close")
        } else if leakReporting == .everything || before != nil {
            throw Finding(.capabilities, "close", "\(expected.liveBlocks) blocks are live, and close() does not throw")
        }
        do throws(Finding) {
            try checkAccount("close()")
            try checkAllContents("after close(), which must free nothing while blocks are live")
        } catch {
            throw Finding(.capabilities, "close", error.explanation)
        }
    }
}

extension AllocatorStatistics {
    fileprivate mutating func enter(byteCount: Int) {
        liveBlocks += 1
        liveBytes += byteCount
        peakBlocks = max(peakBlocks, liveBlocks)
        peakBytes = max(peakBytes, liveBytes)
        totalBlocks += 1
        totalBytes += byteCount
    }

    fileprivate mutating func leave(byteCount: Int) {
        liveBlocks -= 1
        liveBytes -= byteCount
    }
}
