// What tests of slab arenas share.

import Mallow
import Testing

@testable import SlabArenas

/// Demands that a process, which was to end by a trap, said so.
func expectMessage(
    _ result: ExitTest.Result?, _ message: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains(message), "\(text)", sourceLocation: sourceLocation)
}

/// An arena of chunks of 16, 32, … 4096 bytes.
func makeSmallArena(upstream: any Allocator = SystemAllocator()) throws -> SlabArena {
    try SlabArena(startChunkSize: 16, slabSize: 4096, growthFactor: 2, upstream: upstream)
}

struct FoundNil: Error {}

/// The value of an optional, as `#require` gives it, which takes copyable ones alone.
func unwrap<Value: ~Copyable>(_ value: consuming Value?) throws -> Value {
    guard let value else { throw FoundNil() }
    return value
}
