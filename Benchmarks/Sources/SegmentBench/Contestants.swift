// Mallow's and their rivals as contestants.

import BenchSupport
import CBenchSupport
import Mallow
import NIOCore

extension Contestant {
    static func ours(_ name: String, _ run: @escaping Run) -> Contestant {
        Contestant(name: name, isMallow: true) { run }
    }

    static func rival(_ name: String, hasColumn: Bool = true, _ run: @escaping Run) -> Contestant {
        Contestant(name: name, isMallow: false, hasColumn: hasColumn) { run }
    }

    /// A scalable allocator as it is without options, kept from run to run.
    static func scalable(_ run: @escaping (ScalableAllocator, Input) throws -> UInt64) -> Contestant {
        scalable("ScalableAllocator", { ScalableAllocator() }, run)
    }

    private static func scalable(
        _ name: String, _ make: @escaping Making,
        _ run: @escaping (ScalableAllocator, Input) throws -> UInt64
    ) -> Contestant {
        Contestant(name: name, isMallow: true) {
            let source = try make()
            return { try run(source, $0) }
        }
    }

    /// The same with recycling turned off.
    static func withoutRecycling(_ run: @escaping (ScalableAllocator, Input) throws -> UInt64) -> Contestant {
        scalable("…, no recycling", { try ScalableAllocator(source: .withoutRecycling) }, run)
    }

    /// One that threads may share.
    static func shared(_ run: @escaping (SharedScalableAllocator, Input) throws -> UInt64) -> Contestant {
        Contestant(name: "SharedScalableAllocator", isMallow: true) {
            let source = try SharedScalableAllocator()
            return { try run(source, $0) }
        }
    }

    /// A sequence of buffers, kept from run to run.
    static func recyclable(
        _ name: String, _ allocator: @escaping () throws -> any Allocator,
        _ run: @escaping (inout RecyclableMemory, Input) throws -> UInt64
    ) -> Contestant {
        Contestant(name: name, isMallow: true) {
            let memory = Kept(RecyclableMemory(allocator: try allocator()))
            return { try run(&memory.value, $0) }
        }
    }

    /// A part of the memory of each kind of owner, for the closure.
    static func memories(_ run: @escaping (UnsafeMutableRawPointer, Input) -> UInt64) -> [Contestant] {
        func contestant(
            _ name: String, isMallow: Bool, _ make: @escaping () throws -> ScalableAllocator?
        ) -> Contestant {
            Contestant(name: name, isMallow: isMallow) {
                let source = try make()
                return { input in
                    let size = 2 * Int(input.sizes.unsafelyUnwrapped[0])
                    let block = source?.take(size) ?? Malloc().take(size)
                    block.initializeMemory(as: UInt8.self, repeating: 1, count: size)
                    defer { if let source { source.give(block) } else { Malloc().give(block) } }
                    return run(block, input)
                }
            }
        }
        return [
            contestant("malloc", isMallow: false) { nil },
            Contestant(name: "ByteBuffer", isMallow: false) {
                { input in
                    var buffer = ByteBuffer(repeating: 1, count: 2 * Int(input.sizes.unsafelyUnwrapped[0]))
                    return buffer.withUnsafeMutableReadableBytes { run($0.baseAddress.unsafelyUnwrapped, input) }
                }
            },
            Contestant(name: "[UInt8]", isMallow: false) {
                { input in
                    var array = [UInt8](repeating: 1, count: 2 * Int(input.sizes.unsafelyUnwrapped[0]))
                    return array.withUnsafeMutableBytes { run($0.baseAddress.unsafelyUnwrapped, input) }
                }
            },
        ]
            + sources.map { source in
                contestant("ScalableAllocator, \(source.name)", isMallow: true, source.make)
            }
    }
}

/// What a class keeps: a value that can't be copied.
private final class Kept<Value: ~Copyable> {
    var value: Value

    init(_ value: consuming Value) { self.value = value }
}

/// What several allocators share.
private let buddies: SharedBuddyMemory = {
    do { return try SharedBuddyMemory() } catch { fatalError("\(error)") }
}()

/// The sources that a scalable allocator can have.
let sources: [(name: String, make: @Sendable () throws -> ScalableAllocator)] = [
    ("malloc", { ScalableAllocator() }),
    ("pages", { try ScalableAllocator(source: .pages) }),
    ("buddies", { try ScalableAllocator(source: .buddy(buddies)) }),
    ("no recycling", { try ScalableAllocator(source: .withoutRecycling) }),
]
