// A workload, who takes part in it, and what they get to work on.

import AllocatorRivals
import Mallow

/// Runs a workload once; the nanoseconds that its loop took.
typealias Run = (Input) throws -> UInt64

/// One that runs a workload: an allocator of Mallow's in one form, or a rival.
struct Contestant {
    let name: String
    let isMallow: Bool
    /// Makes the allocator, which is kept from run to run.
    let prepare: () throws -> Run
    /// The bytes of malloc's that are in use when a million blocks are live.
    var bytesWhenFull: Run?

    /// One of Mallow's, as generic and through `any Allocator`.
    static func pair<A: Allocator>(
        _ name: String, _ make: @escaping () throws -> A, generic: @escaping (A, Input) throws -> UInt64,
        any: @escaping (ThroughAny, Input) throws -> UInt64
    ) -> [Contestant] {
        [
            Contestant(name: name, isMallow: true) {
                let allocator = try make()
                return { try generic(allocator, $0) }
            },
            Contestant(name: name + " (any)", isMallow: true) {
                let allocator = ThroughAny(base: hide(try make()))
                return { try any(allocator, $0) }
            },
        ]
    }

    /// The same, of what can free all of its blocks at once.
    static func resettablePair<A: ResettableAllocator>(
        _ name: String, _ make: @escaping () throws -> A, generic: @escaping (A, Input) throws -> UInt64,
        any: @escaping (ResettableThroughAny, Input) throws -> UInt64
    ) -> [Contestant] {
        [
            Contestant(name: name, isMallow: true) {
                let allocator = try make()
                return { try generic(allocator, $0) }
            },
            Contestant(name: name + " (any)", isMallow: true) {
                let allocator = ResettableThroughAny(base: hide(try make()))
                return { try any(allocator, $0) }
            },
        ]
    }

    static func rivals(of workload: bench_workload) -> [Contestant] {
        (0..<bench_rival_count(workload)).map { index in
            let name = Rival(workload, index).name
            var contestant = Contestant(name: name, isMallow: false) {
                let rival = Rival(workload, index)
                return { rival.call(bench_rival_run, $0) }
            }
            if workload == BENCH_RANDOM_ORDER {
                contestant.bytesWhenFull = {
                    let rival = Rival(workload, index)
                    return rival.call(bench_rival_bytes_when_full, $0)
                }
            }
            return contestant
        }
    }
}

/// Takes the concrete type out of the compiler's sight.
@inline(never) @_optimize(none)
func hide(_ allocator: any Allocator) -> any Allocator { allocator }

@inline(never) @_optimize(none)
func hide(_ allocator: any ResettableAllocator) -> any ResettableAllocator { allocator }

final class Rival {
    private let handle: OpaquePointer

    init(_ workload: bench_workload, _ index: Int) { handle = bench_rival_make(workload, index) }

    deinit { bench_rival_destroy(handle) }

    var name: String { withExtendedLifetime(self) { String(cString: bench_rival_name(handle)) } }

    func call(_ function: (OpaquePointer?, UnsafePointer<Input>?) -> UInt64, _ input: Input) -> UInt64 {
        withExtendedLifetime(self) { withUnsafePointer(to: input) { function(handle, $0) } }
    }
}

struct Workload: Sendable {
    let name: String
    let title: String
    let kind: bench_workload
    /// Steps of one run.
    let count: Int
    /// Blocks that are allocated and freed in a step: times are per block.
    var blocksPerStep = 1
    /// Blocks that live at once, or the nodes of a tree.
    var blockCount = 0
    /// Runs of a round, of which the fastest counts.
    var runsPerRound = 5
    /// What the requests ask for, over and over.
    var sizes: [UInt32] = [4]
    let contestants: @Sendable () -> [Contestant]
}

/// The memory that the workloads work on, touched beforehand.
final class InputMemory {
    static let blockCapacity = 1_000_000

    private let blocks = UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>.allocate(capacity: blockCapacity)
    private var order = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: blockCapacity)
    private var sizes = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 1)

    init() {
        blocks.initialize(repeating: nil)
        order.initialize(repeating: 0)
        sizes.initialize(repeating: 0)
    }

    deinit {
        blocks.deallocate()
        order.deallocate()
        sizes.deallocate()
    }

    func input(for workload: Workload) -> Input {
        var generator = SplitMix64(state: 0x6D61_6C6C_6F77)
        if workload.kind == BENCH_RANDOM_ORDER {
            for index in order.indices { order[index] = UInt32(index) }
            order.shuffle(using: &generator)
        } else if workload.blockCount > 0 {
            let slots = 0..<UInt32(workload.blockCount)
            for index in order.indices { order[index] = UInt32.random(in: slots, using: &generator) }
        }
        sizes.deallocate()
        sizes = .allocate(capacity: workload.sizes.count)
        _ = sizes.initialize(fromContentsOf: workload.sizes)
        return Input(
            count: workload.count, sizes: sizes.baseAddress, size_count: workload.sizes.count, order: order.baseAddress,
            blocks: blocks.baseAddress, block_count: workload.blockCount)
    }
}

private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
