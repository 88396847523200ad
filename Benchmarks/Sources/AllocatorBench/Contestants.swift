// Mallow's allocators and their rivals as contestants.

import AllocatorRivals
import BenchSupport
import Mallow

extension Contestant {
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
            Contestant(bench_rival_entry(workload, index), hasBytes: workload == BENCH_RANDOM_ORDER)
        }
    }
}

extension Workload {
    /// A workload that the rivals of `kind` run too.
    init(
        name: String, title: String, kind: bench_workload, count: Int, blocksPerStep: Int = 1, blockCount: Int = 0,
        runsPerRound: Int = 5, sizes: [UInt32] = [4], contestants: @escaping @Sendable () -> [Contestant]
    ) {
        self.init(
            name: name, title: title, count: count, blocksPerStep: blocksPerStep, blockCount: blockCount,
            order: kind == BENCH_RANDOM_ORDER ? .permutation : nil, runsPerRound: runsPerRound, sizes: sizes,
            contestants: { Contestant.rivals(of: kind) + contestants() })
    }
}

/// Takes the concrete type out of the compiler's sight.
@inline(never) @_optimize(none)
func hide(_ allocator: any Allocator) -> any Allocator { allocator }

@inline(never) @_optimize(none)
func hide(_ allocator: any ResettableAllocator) -> any ResettableAllocator { allocator }
