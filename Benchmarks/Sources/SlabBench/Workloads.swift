// The workloads, and who takes part in each.

import BenchSupport
import CBenchSupport
import Mallow
import NIOCore
import SlabRivals

let workloads: [Workload] =
    [
        Workload(
            name: "reference", title: "a reference to a block of 128 bytes, added and released", kind: SLAB_REFERENCE,
            count: 500_000,
            contestants: {
                [
                    .arena("SlabArena", reference),
                    .arena("SlabBuffer", duplicateBuffer),
                    .shared(reference),
                    .counted("ByteBuffer") { countedReference(ByteBuffer.self, $0) },
                    .counted("ManagedBuffer", hasColumn: false) { countedReference(ManagedBlock.self, $0) },
                ]
            }),
        Workload(
            name: "reference-random", title: "the same, of a random one of 100,000 blocks",
            kind: SLAB_REFERENCE_RANDOM, count: 500_000, blockCount: 100_000, runsPerRound: 3,
            contestants: {
                [
                    .arena("SlabArena", bytesWhenFull: metadataBytes, referenceRandom),
                    .shared(referenceRandom),
                    .counted("ByteBuffer", bytesWhenFull: { countedMetadataBytes(ByteBuffer.self, $0) }) {
                        countedReferenceRandom(ByteBuffer.self, $0)
                    },
                    .counted(
                        "ManagedBuffer", hasColumn: false,
                        bytesWhenFull: { countedMetadataBytes(ManagedBlock.self, $0) }
                    ) { countedReferenceRandom(ManagedBlock.self, $0) },
                ]
            }),
    ] + [1, 128, 256].map(allocation) + [1, 128, 256].map(liveAllocation) + [2, 1.1].map(sizeCycle) + [
        Workload(
            name: "chain", title: "a chain of 256 blocks of 128 bytes, built and released", kind: SLAB_CHAIN,
            count: 500, blocksPerStep: 256, blockCount: 256,
            contestants: { [.arena("SlabArena", chain), .arena("SlabArena.allocateChain", itemAsChain)] }),
        Workload(
            name: "buffer-at-location", title: "from a location to the buffer, a random one of 100,000",
            kind: SLAB_BUFFER_AT_LOCATION, count: 500_000, blockCount: 100_000, runsPerRound: 3,
            contestants: { [.arena("SlabArena", bufferAtLocation)] }),
        Workload(
            name: "location-of-buffer", title: "from a buffer to its location, a random one of 100,000",
            kind: SLAB_LOCATION_OF_BUFFER, count: 500_000, blockCount: 100_000, runsPerRound: 3,
            contestants: { [.arena("SlabArena", locationOfBuffer)] }),
    ]

private func allocation(_ size: UInt32) -> Workload {
    Workload(
        name: "allocate-\(size)", title: "a block of \(bytes(size)), allocated and released", kind: SLAB_ALLOCATE,
        count: 200_000, sizes: [size],
        contestants: {
            [
                .arena("SlabArena", allocate),
                .arena("SlabArena (any)") { try allocateThroughAny(hide($0), $1) },
                .arena("SlabBuffer", makeBuffer),
                .shared(allocate),
                .counted("ByteBuffer") { countedAllocate(ByteBuffer.self, $0) },
                .counted("ManagedBuffer", hasColumn: false) { countedAllocate(ManagedBlock.self, $0) },
            ]
        })
}

private func liveAllocation(_ size: UInt32) -> Workload {
    Workload(
        name: "live-\(size)", title: "1,000 blocks of \(bytes(size)), then all released in order",
        kind: SLAB_ALLOCATE_LIVE, count: 200, blocksPerStep: 1000, blockCount: 1000, sizes: [size],
        contestants: {
            [
                .arena("SlabArena", allocateLive),
                .shared(allocateLive),
                .counted("ByteBuffer") { countedAllocateLive(ByteBuffer.self, $0) },
                .counted("ManagedBuffer", hasColumn: false) { countedAllocateLive(ManagedBlock.self, $0) },
            ]
        })
}

private func sizeCycle(_ growthFactor: Double) -> Workload {
    let factor = growthFactor == 2 ? "2" : "\(growthFactor)"
    return Workload(
        name: "sizes-\(factor)",
        title: "blocks of 1, 2, … 1,024 bytes, each allocated and released; chunks from 1 byte, growing by \(factor)",
        kind: SLAB_SIZES, count: 204_800, sizes: Array(1...1024),
        contestants: {
            [
                Contestant(name: "SlabArena", isMallow: true) {
                    let arena = try SlabArena(startChunkSize: 1, growthFactor: growthFactor)
                    return { try sizes(arena, $0) }
                },
                .counted("ByteBuffer") { countedSizes(ByteBuffer.self, $0) },
                .counted("ManagedBuffer", hasColumn: false) { countedSizes(ManagedBlock.self, $0) },
            ]
        })
}

private func bytes(_ count: UInt32) -> String { count == 1 ? "1 byte" : "\(count) bytes" }
