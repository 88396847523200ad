// A workload, who takes part in it, and what they get to work on.

import AllocatorRivals
import Mallow

/// One that runs a workload: an allocator of Mallow's in one form, or a rival.
struct Contestant {
    let name: String
    let isMallow: Bool
    /// Runs the workload once; the nanoseconds that its loop took.
    let run: (Input) throws -> UInt64
    /// The bytes of malloc's that are in use when a million blocks are live.
    var bytesWhenFull: ((Input) throws -> UInt64)?

    /// One of Mallow's, as generic and through `any Allocator`. The two have an allocator each.
    static func pair<A: Allocator>(
        _ name: String, _ make: () throws -> A, generic: @escaping (A, Input) throws -> UInt64,
        any: @escaping (ThroughAny, Input) throws -> UInt64
    ) rethrows -> [Contestant] {
        let allocator = try make()
        let hidden = ThroughAny(base: hide(try make()))
        return [
            Contestant(name: name, isMallow: true, run: { try generic(allocator, $0) }),
            Contestant(name: name + " (any)", isMallow: true, run: { try any(hidden, $0) }),
        ]
    }

    static func rivals(of workload: bench_workload) -> [Contestant] {
        (0..<bench_rival_count(workload)).map { index in
            let rival = Rival(workload, index)
            return Contestant(
                name: String(cString: bench_rival_name(rival.handle)), isMallow: false,
                run: { withUnsafePointer(to: $0) { bench_rival_run(rival.handle, $0) } },
                bytesWhenFull: workload != BENCH_RANDOM_ORDER
                    ? nil : { withUnsafePointer(to: $0) { bench_rival_bytes_when_full(rival.handle, $0) } })
        }
    }
}

/// Takes the concrete type out of the compiler's sight.
@inline(never) @_optimize(none)
func hide(_ allocator: any Allocator) -> any Allocator { allocator }

private final class Rival {
    let handle: OpaquePointer

    init(_ workload: bench_workload, _ index: Int) { handle = bench_rival_make(workload, index) }

    deinit { bench_rival_destroy(handle) }
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
    let contestants: @Sendable () throws -> [Contestant]
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
