// Strings and bytes for C code, in any allocator.

import AllocatorCore
import Testing

@testable import ComposableAllocators

@Suite struct CStringsTests {
    @Test(arguments: ["", "a", "größer", "🐦‍⬛ twice", String(repeating: "long ", count: 1_000)])
    func copiesAString(_ text: String) throws {
        let allocator = CountingAllocator()
        let copy = try allocator.makeCString(text)
        #expect(String(cString: copy) == text)
        #expect(allocator.byteCount(of: copy) == text.utf8.count + 1)
        allocator.deallocate(copy)
        let part = try allocator.makeCString(text.dropFirst())
        #expect(String(cString: part) == text.dropFirst())
        allocator.deallocate(part)
        #expect(allocator.findLeaks() == nil)
    }

    @Test func keepsAZeroInside() throws {
        let allocator = CountingAllocator()
        let copy = try allocator.makeCString("ab\0cd")
        #expect(String(cString: copy) == "ab")
        #expect((0..<6).map { copy[$0] } == [97, 98, 0, 99, 100, 0])
        allocator.deallocate(copy)
    }

    @Test func copiesBytes() throws {
        let allocator = CountingAllocator()
        let bytes: [UInt8] = [1, 0, 255, 7]
        let copies = [
            try allocator.makeBytes(bytes), try allocator.makeBytes(bytes.span),
            try allocator.makeBytes(bytes.span.bytes),
            try allocator.makeBytes(bytes.lazy.map { $0 }),
        ]
        for copy in copies {
            #expect(Array(copy) == bytes)
            allocator.deallocate(copy)
        }
        let nothing = try allocator.makeBytes([])
        #expect(nothing.isEmpty && nothing.baseAddress != nil)
        allocator.deallocate(nothing)
        #expect(allocator.findLeaks() == nil)
    }

    @Test func freesInAnyCase() throws {
        struct Failure: Error {}
        struct Uncopied: ~Copyable { let value: Int }
        let allocator = CountingAllocator()
        #expect(try allocator.withCString("four") { String(cString: $0) } == "four")
        let token = try allocator.withCString("four") { Uncopied(value: Int($0[0])) }
        #expect(token.value == 102)
        #expect(throws: Failure.self) { try allocator.withCString("four") { _ in throw Failure() } }
        #expect(allocator.findLeaks() == nil && allocator.statistics.totalBlocks == 3)
        // Without memory the closure is not called.
        allocator.room = 3
        #expect(throws: AllocationError.self) {
            try allocator.withCString("four") { _ in Issue.record("called") }
        }
        #expect(throws: AllocationError.self) { try allocator.makeBytes([1, 2, 3, 4]) }
    }

    @Test func worksOnAnExistential() throws {
        let allocator: any Allocator = CountingAllocator()
        #expect(try allocator.withCString("any") { String(cString: $0) } == "any")
        #expect(allocator.findLeaks() == nil)
    }
}
