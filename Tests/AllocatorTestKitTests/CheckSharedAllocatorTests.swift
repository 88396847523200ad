// The check under threads: what is right passes, and what is wrong under a lock is found as it would be without one.

import AllocatorCore
import AllocatorTestKit
import Foundation
import Testing

/// The defective allocator with a lock around it.
private final class Locked: Allocator, OwningAllocator, SizeReportingAllocator, MeasuredAllocator, @unchecked Sendable {
    private let base: DefectiveAllocator
    private let lock = NSLock()

    init(_ defect: Defect) { base = DefectiveAllocator(defect) }

    private func locked<T>(_ body: () throws -> T) rethrows -> T {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }

    func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        locked { base.tryAllocate(byteCount: byteCount, alignment: alignment) }
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if let block = tryAllocate(byteCount: byteCount, alignment: alignment) { return block }
        throw AllocationError(allocator: "Locked", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { locked { base.deallocate(pointer) } }
    func findLeaks() -> LeakError? { locked { base.findLeaks() } }
    func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        locked { try? base.close() }
    }
    func owns(_ pointer: UnsafeRawPointer) -> Bool { locked { base.owns(pointer) } }
    func byteCount(of pointer: UnsafeRawPointer) -> Int { locked { base.byteCount(of: pointer) } }
    var statistics: AllocatorStatistics { locked { base.statistics } }
}

@Suite struct CheckSharedAllocatorTests {
    @Test(arguments: [1, 2, 8]) func systemAllocatorPasses(threads: Int) throws {
        try checkSharedAllocator(seed: UInt64(threads), threads: threads) { SystemAllocator() }
    }

    @Test func lockedAllocatorPasses() throws {
        try checkSharedAllocator { Locked(.none) }
    }

    @Test(arguments: [
        (Defect.losesContents, "contents"), (.statistics(.liveBlocks), "statistics.liveBlocks"),
        (.statistics(.totalBytes), "statistics.totalBytes"), (.shortCount, "block"), (.ownsNone, "owns"),
        (.leaksMiscounted, "findLeaks"), (.closeKeepsMemory, "close"),
    ])
    func defectsAreFound(_ defect: Defect, _ subject: String) throws {
        let violation = try #require(throws: ContractViolation.self) {
            try checkSharedAllocator(seed: 5, steps: 500) { Locked(defect) }
        }
        #expect(violation.subject == subject, "\(violation)")
        #expect(violation.seed == 5)
    }
}
