// Every other allocator of the public interface: it serves a request generically and as an existential, boxes live in
// it, and its end gives back to upstream what is still live.

import Mallow

/// A request as a library makes it that takes any allocator.
func serve(_ allocator: any Allocator) throws {
    let block = try allocator.allocate(byteCount: 40)
    block.initializeMemory(as: UInt8.self, repeating: 7)
    allocator.deallocate(block)
}

/// The same as generic code, and boxes.
func use<A: Allocator>(_ allocator: A) throws {
    try serve(allocator)
    let words = try allocator.allocate(copying: [1, 2, 3])
    expect(words.elementsEqual([1, 2, 3]), "values are where they were put")
    allocator.deinitializeAndDeallocate(words)
    for number in 0..<10 { _ = try Box(Token(number), in: allocator) }
    try allocator.withCString("hello") { expect($0[4] == 111, "a C string is copied") }
    expect(allocator.findLeaks() == nil, "nothing is live")
}

/// An owner of memory: used, left with live blocks, and ended.
func checkOwner<A: Allocator>(_ name: String, _ make: () throws -> A) {
    check(name, ends: 10) {
        let allocator = try make()
        try use(allocator)
        for _ in 0..<5 { _ = try allocator.allocate(byteCount: 40) }
    }
}

/// One whose blocks are its parts' own: used and closed.
func checkCombinator<A: Allocator>(_ name: String, _ make: () throws -> A) {
    check(name, ends: 10) {
        let allocator = try make()
        try use(allocator)
        try allocator.close()
    }
}

typealias Pool = FixedBlockAllocator<StatelessAllocator>

func makePool(_ blockSize: Int = 64) throws -> Pool { try Pool(blockSize: blockSize, upstream: StatelessAllocator()) }

func checkCompositions() {
    checkOwner("TieredAllocator") { try TieredAllocator(blockSizes: [16, 48], upstream: StatelessAllocator()) }
    checkOwner("ArenaAllocator") { ArenaAllocator(upstream: StatelessAllocator()) }
    checkOwner("ArenaAllocator over a pool") { ArenaAllocator(upstream: try makePool(96)) }
    checkOwner("RegionAllocator") { try RegionAllocator(upstream: StatelessAllocator()) }
    checkOwner("TrackingAllocator over a pool") { TrackingAllocator(upstream: try makePool()) }
    checkOwner("QuotaAllocator over a pool") { try QuotaAllocator(limit: 1000, upstream: makePool()) }
    checkOwner("Synchronized pool") { Synchronized(try makePool()) }
    checkOwner("PerThread over a pool") {
        try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64, upstream: StatelessAllocator()))
    }
    checkOwner("AnyAllocator of a pool") { AnyAllocator(try makePool()) }
    checkOwner("PageAllocator") { PageAllocator() }
    checkOwner("GuardAllocator") { GuardAllocator() }
    checkCombinator("SystemAllocator") { SystemAllocator() }
    checkCombinator("ThresholdAllocator") {
        try ThresholdAllocator(threshold: 16, small: makePool(16), large: StatelessAllocator())
    }
    checkCombinator("ThresholdAllocator of parts that cannot tell") {
        try ThresholdAllocator(threshold: 16, small: StatelessAllocator(), large: StatelessAllocator())
    }
    checkCombinator("FallbackAllocator, three levels") {
        FallbackAllocator(
            primary: try makePool(8),
            secondary: FallbackAllocator(primary: try makePool(48), secondary: StatelessAllocator()))
    }
    check("UnretainedAllocator", ends: 10) {
        let pool = try makePool()
        try use(UnretainedAllocator(pool))
        try withExtendedLifetime(pool) { try pool.close() }
    }
    check("CAllocator", ends: 0) {
        let pool = try makePool()
        try pool.withCAllocator { table in
            let pointer = table.calloc(table.context, 4, 8)
            expect(table.usableSize(table.context, pointer) >= 32, "calloc gives what was asked for")
            table.free(table.context, table.realloc(table.context, pointer, 50))
        }
        try pool.close()
    }
    check("LeakError", ends: 0) {
        let allocator = TrackingAllocator(upstream: StatelessAllocator())
        let block = try allocator.allocate(byteCount: 10)
        do throws(LeakError) {
            try allocator.close()
            expect(false, "a leak is thrown")
        } catch {
            expect(error.blocks == 1 && error.sites.first?.location.hasPrefix("client/") == true, "\(error)")
        }
        allocator.deallocate(block)
        try allocator.close()
    }
}
