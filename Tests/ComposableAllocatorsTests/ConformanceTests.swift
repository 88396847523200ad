// Every allocator, and compositions of three levels, held to the whole contract by AllocatorTestKit.

import AllocatorTestKit
import Mallow
import Testing

@Suite struct ConformanceTests {
    @Test(arguments: 1...3)
    func fixedBlockAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 64) }
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 24, pageSize: 240) }
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 1, pageSize: 100) }
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 4096, alignment: 4096, pageSize: 8192) }
    }

    @Test(arguments: 1...3)
    func tieredAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try TieredAllocator(blockSizes: [8, 64, 500], pageSize: 2000) }
        try checkAllocator(seed: seed) {
            try TieredAllocator(blockSizes: [16, 48], pageSize: 480, upstream: PageAllocator())
        }
    }

    @Test(arguments: 1...3)
    func regionAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try RegionAllocator() }
    }

    @Test(arguments: 1...3)
    func systemAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { SystemAllocator() }
        try checkAllocator(seed: seed) { AnyAllocator(SystemAllocator()) }
    }

    @Test(arguments: 1...3)
    func pageAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { PageAllocator() }
        try checkAllocator(seed: seed) { PageAllocator(guardPages: true) }
        try checkAllocator(seed: seed) { PageAllocator(hugePages: .advise) }
    }

    @Test(arguments: 1...3)
    func unretainedAllocator(_ seed: UInt64) throws {
        let pool = try FixedBlockAllocator(blockSize: 128)
        try checkAllocator(seed: seed) {
            try pool.close()
            return ArenaAllocator(upstream: UnretainedAllocator(pool))
        }
        try withExtendedLifetime(pool) { try pool.close() }
    }
}
