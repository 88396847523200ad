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
