// What the runner compares with its model: contents, the account, leaks, and whose a pointer is.

import AllocatorCore

extension SequenceRunner {
    var leakReporting: AllocatorTraits.LeakReporting {
        traits.leakReporting ?? (subject.measured == nil ? .some : .everything)
    }

    func check(_ leak: LeakError, _ call: String, subject: String) throws(Finding) {
        let isRight =
            leakReporting == .everything
            ? leak.blocks == expected.liveBlocks && leak.bytes == expected.liveBytes
            : 1...max(1, expected.liveBlocks) ~= leak.blocks && 0...expected.liveBytes ~= leak.bytes
        if !isRight {
            throw Finding(
                .capabilities, subject,
                "\(expected.liveBlocks) blocks of \(expected.liveBytes) bytes are live, and \(call) says \"\(leak)\"")
        }
    }

    func checkContents(_ id: Int, _ moment: String) throws(Finding) {
        let block = blocks[id]!
        if let at = Pattern.firstDifference(block.base, byteCount: block.extent, id: id) {
            throw Finding(
                .separateBlocks, "contents", "b\(id), of \(block.count) bytes, had changed at byte \(at) \(moment)")
        }
    }

    func checkAllContents(_ moment: String) throws(Finding) {
        for id in order {
            try checkContents(id, moment)
            let block = blocks[id]!
            if let reported = subject.byteCount(of: block.base), reported != block.extent {
                throw Finding(
                    .capabilities, "byteCount(of:)",
                    "b\(id) was said to have \(block.extent) bytes, and now \(reported)")
            }
            if let owning = subject.owning, !owning.owns(block.base) {
                throw Finding(.capabilities, "owns", "b\(id), which is live, is not owned")
            }
            if subject.tellsOwn, !subject.allocator._owns(block.base) {
                throw Finding(.capabilities, "owns", "_owns says that b\(id), which is live, is not owned")
            }
        }
    }

    /// What can be asked of the allocator after each step.
    func checkAccount(
        _ step: String, as clause: ContractViolation.Clause = .capabilities
    ) throws(Finding) {
        if let statistics = subject.measured?.statistics { try check(statistics, step, clause) }
        if leakReporting != .nothing {
            if let leak = subject.allocator.findLeaks() {
                if blocks.isEmpty {
                    throw Finding(
                        clause, "findLeaks", "after \(step) nothing is live, and findLeaks() says \"\(leak)\"")
                }
                try check(leak, "findLeaks()", subject: "findLeaks")
            } else if leakReporting == .everything, !blocks.isEmpty {
                throw Finding(
                    clause, "findLeaks", "after \(step) \(expected.liveBlocks) blocks are live, and findLeaks() is nil")
            }
        }
        if subject.tellsOwn || subject.owning != nil { try checkForeignPointers() }
        if let last = order.last, let owning = subject.owning, !owning.owns(blocks[last]!.base) {
            throw Finding(.capabilities, "owns", "b\(last), which is live, is not owned")
        }
    }

    func check(
        _ statistics: AllocatorStatistics, _ step: String, _ clause: ContractViolation.Clause
    ) throws(Finding) {
        func compare(_ field: String, _ actual: Int, _ expected: Int) throws(Finding) {
            if actual != expected {
                throw Finding(
                    clause, "statistics.\(field)", "after \(step) \(field) is \(actual) and must be \(expected)")
            }
        }
        try compare("liveBlocks", statistics.liveBlocks, expected.liveBlocks)
        try compare("liveBytes", statistics.liveBytes, expected.liveBytes)
        try compare("peakBlocks", statistics.peakBlocks, expected.peakBlocks)
        try compare("peakBytes", statistics.peakBytes, expected.peakBytes)
        try compare("totalBlocks", statistics.totalBlocks, expected.totalBlocks)
        try compare("totalBytes", statistics.totalBytes, expected.totalBytes)
        if statistics.heldBytes < 0 || statistics.overheadBytes < 0 {
            throw Finding(clause, "statistics.heldBytes", "after \(step) bytes are below zero: \(statistics)")
        }
        if statistics.freeBytes < 0 {
            throw Finding(
                clause, "statistics.heldBytes",
                "after \(step) what is live and overhead is more than what is held: \(statistics)")
        }
    }

    func checkForeignPointers() throws(Finding) {
        for (what, pointer) in ForeignPointers.shared.pointers {
            if let owning = subject.owning, owning.owns(pointer) {
                throw Finding(.capabilities, "owns", "\(what) (\(pointer)) is said to be owned")
            }
            if subject.tellsOwn, subject.allocator._owns(pointer) {
                throw Finding(.capabilities, "owns", "_owns says that \(what) (\(pointer)) is owned")
            }
        }
        let onStack = withUnsafeTemporaryAllocation(byteCount: 16, alignment: 16) { buffer in
            subject.tellsOwn && subject.allocator._owns(buffer.baseAddress!)
                || subject.owning?.owns(buffer.baseAddress!) == true
        }
        if onStack { throw Finding(.capabilities, "owns", "an address on the stack is said to be owned") }
    }
}

/// Addresses that no allocator can have handed out.
private struct ForeignPointers: @unchecked Sendable {
    static let shared = ForeignPointers()

    let pointers: [(what: String, pointer: UnsafeRawPointer)]

    private init() {
        var pointers: [(String, UnsafeRawPointer)] = [
            ("a block of malloc's", UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 48, alignment: 16))),
            ("a type's metadata", unsafeBitCast(Int.self as Any.Type, to: UnsafeRawPointer.self)),
        ]
        for address in [1, 16, 4096, UInt(Int.max), UInt.max, UInt.max - 4095, 1 << 47, 1 << 63] {
            pointers.append(("an address", UnsafeRawPointer(bitPattern: address)!))
        }
        self.pointers = pointers
    }
}
