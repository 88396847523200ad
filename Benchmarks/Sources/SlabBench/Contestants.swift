// Mallow's arenas and their rivals as contestants.

import BenchSupport
import CBenchSupport
import Mallow
import SlabRivals

extension Contestant {
    /// A slab arena as it is without options.
    static func arena(
        _ name: String, bytesWhenFull: (@Sendable (SlabArena, Input) throws -> UInt64)? = nil,
        _ run: @escaping (SlabArena, Input) throws -> UInt64
    ) -> Contestant {
        Contestant(
            name: name, isMallow: true, bytesWhenFull: bytesWhenFull.map { bytes in { try bytes(SlabArena(), $0) } }
        ) {
            let arena = try SlabArena()
            return { try run(arena, $0) }
        }
    }

    /// One that threads may share.
    static func shared(_ run: @escaping (SharedSlabArena, Input) throws -> UInt64) -> Contestant {
        Contestant(name: "SharedSlabArena", isMallow: true) {
            let arena = try SharedSlabArena()
            return { try run(arena, $0) }
        }
    }

    /// What Swift's retain and release count.
    static func counted(
        _ name: String, hasColumn: Bool = true, bytesWhenFull: Run? = nil, _ run: @escaping Run
    ) -> Contestant {
        Contestant(name: name, isMallow: false, hasColumn: hasColumn, bytesWhenFull: bytesWhenFull) { run }
    }

    static func rivals(of workload: slab_workload) -> [Contestant] {
        (0..<slab_rival_count(workload)).map { index in
            Contestant(slab_rival_entry(workload, index), hasBytes: workload == SLAB_REFERENCE_RANDOM)
        }
    }
}

extension Workload {
    /// A workload that the rivals of `kind` run too.
    init(
        name: String, title: String, kind: slab_workload, count: Int, blocksPerStep: Int = 1, blockCount: Int = 0,
        runsPerRound: Int = 5, sizes: [UInt32] = [UInt32(SLAB_BLOCK_SIZE)],
        contestants: @escaping @Sendable () -> [Contestant]
    ) {
        self.init(
            name: name, title: title, count: count, blocksPerStep: blocksPerStep, blockCount: blockCount,
            runsPerRound: runsPerRound, sizes: sizes, bytesTitle: "metadata bytes/chunk", bytesBlockCount: blockCount,
            contestants: { Contestant.rivals(of: kind) + contestants() })
    }
}

/// Takes the concrete type out of the compiler's sight.
@inline(never) @_optimize(none)
func hide(_ allocator: any Allocator) -> any Allocator { allocator }
