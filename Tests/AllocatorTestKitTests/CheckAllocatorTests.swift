// Correct allocators pass, however they are named.

import AllocatorCore
import AllocatorTestKit
import Testing

@Suite struct CheckAllocatorTests {
    @Test func systemAllocatorPasses() throws {
        try checkAllocator { SystemAllocator() }
    }

    @Test func anyAllocatorPasses() throws {
        try checkAllocator { AnyAllocator(SystemAllocator()) }
    }

    @Test func allocatorOfUnknownTypePasses() throws {
        let make: () -> any Allocator = { SystemAllocator() }
        try checkAllocator(make: make)
    }
}

/// Malloc's blocks, from an allocator that cannot be copied; wrong where a test wants it.
private struct Noncopyable: Allocator, ~Copyable {
    var missingBytes = 0

    borrowing func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
        return UnsafeMutableRawBufferPointer(start: block.baseAddress, count: max(byteCount - missingBytes, 0))
    }

    borrowing func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
}

extension CheckAllocatorTests {
    @Test func noncopyableAllocatorIsChecked() throws {
        try checkAllocator { Noncopyable() }
        let violation = try #require(throws: ContractViolation.self) {
            try checkAllocator { Noncopyable(missingBytes: 1) }
        }
        #expect(violation.clause == .usableBytes)
        #expect(violation.allocator == "Noncopyable")
        #expect(violation.operations == [.allocate(id: 0, byteCount: 1, alignment: 1)])
    }

    @Test func errorsOfMakePassThrough() {
        struct NoAllocator: Error {}
        #expect(throws: NoAllocator.self) {
            try checkAllocator { () throws -> SystemAllocator in throw NoAllocator() }
        }
    }

    @Test func limitsAreFoundOut() throws {
        // Requests above what is served are not made, so that a check of a small allocator is not a check of refusals.
        let recorded = RecordingAllocator(upstream: FailingAllocator(plan: .byteLimit(100)))
        try checkAllocator(sequences: 1) { AnyAllocator(FailingAllocator(upstream: recorded, plan: .never)) }
        let sizes = recorded.trace.operations.compactMap { operation -> Int? in
            switch operation {
            case .allocate(_, let byteCount, _), .tryAllocate(_, let byteCount, _): byteCount
            default: nil
            }
        }
        #expect(sizes.max() == 100)
    }

    @Test func declaredLimitsAreKeptTo() throws {
        let recorded = RecordingAllocator()
        let traits = AllocatorTraits.with {
            $0.largestByteCount = 48
            $0.largestAlignment = 32
            $0.refusesHugeSizes = false
        }
        try checkAllocator(traits: traits) { AnyAllocator(FailingAllocator(upstream: recorded, plan: .never)) }
        #expect(recorded.trace.operations.count > 1000)
        for operation in recorded.trace.operations {
            switch operation {
            case .allocate(_, let byteCount, let alignment), .tryAllocate(_, let byteCount, let alignment),
                .refused(let byteCount, let alignment):
                #expect(byteCount <= 48)
                #expect(alignment <= 32 || alignment == .max)
            default: break
            }
        }
    }
}
