// The comparison of an arena with its model.

import AllocatorTestKit
import Foundation
import Mallow

@testable import SlabArenas

extension SlabArenaModel {
    func checkAfterStep() throws {
        if let broken = arena.brokenInvariant() { throw Disagreement(description: broken) }
        for (id, item) in items {
            guard arena.referenceCount(of: item.buffer.baseAddress!) != item.references else { continue }
            throw Disagreement(
                description: "item \(id) has \(arena.referenceCount(of: item.buffer.baseAddress!)) references, "
                    + "and \(item.references) in the model")
        }
        try expect(arena.live == items.count, "\(arena.live) chunks are live, and \(items.count) in the model")
    }

    func checkEverything() throws {
        for item in items.values {
            if !item.buffer.isEmpty {
                let bytes = item.buffer.baseAddress!
                try expect(
                    item.buffer[0] == item.byte && memcmp(bytes, bytes + 1, item.buffer.count - 1) == 0,
                    "contents have changed")
            }
            try expect(arena.isLive(item.location), "a live chunk's location is stale")
            try expect(arena.buffer(at: item.location)?.baseAddress == item.buffer.baseAddress, "buffer(at:)")
            try expect(arena.byteCount(of: part(of: item).baseAddress!) == item.chunkSize, "byteCount(of:)")
        }
        var visited: [SlabLocation: Int] = [:]
        arena.forEachLiveChunk { visited[$0, default: 0] += 1 }
        let expected = Dictionary(
            uniqueKeysWithValues: items.values.map {
                (
                    arena.location(
                        of: UnsafeMutableRawBufferPointer(start: $0.buffer.baseAddress, count: $0.chunkSize)), 1
                )
            })
        try expect(visited == expected, "forEachLiveChunk visits \(visited.count) of \(expected.count) chunks")
        try checkStale()
        try checkAccount()
    }

    func checkStale() throws {
        for _ in 0..<min(stale.count, 20) {
            let location = stale[below(stale.count)]
            let slice = location.slice(0..<below(location.count + 1))
            for location in [location, slice] {
                try expect(
                    !arena.isLive(location) && arena.buffer(at: location) == nil && !arena.addReference(at: location)
                        && arena.take(location) == nil, "\(location) is stale, and served")
            }
        }
    }

    private func checkAccount() throws {
        let all = arena.slabStatistics
        let account = arena.statistics
        func same(_ name: String, _ arena: Int, _ model: Int) throws {
            if arena != model { throw Disagreement(description: "\(name): \(arena), and \(model) in the model") }
        }
        try same("allocations", all.allocations, counts.allocations)
        try same("referencesAdded", all.referencesAdded, counts.referencesAdded)
        try same("referencesReleased", all.referencesReleased, counts.referencesReleased)
        try same("releasesToZero", all.releasesToZero, counts.releasesToZero)
        try same("chainReads", all.chainReads, counts.chainReads)
        try same("chainWrites", all.chainWrites, counts.chainWrites)
        try same("requestsTooLarge", all.requestsTooLarge, counts.requestsTooLarge)
        try same("freeListPops", all.freeListPops, counts.allocations)
        try same("bytesRequested", all.bytesRequested, counts.bytesRequested)
        try same("peakBlocks", account.peakBlocks, peakBlocks)
        try same("peakBytes", account.peakBytes, peakBytes)
        try same("slabs", all.slabs, upstream.statistics.liveBlocks)
        try same("slabAllocations", all.slabAllocations, upstream.statistics.totalBlocks)
        try same("slabAllocationFailures", all.slabAllocationFailures, upstream.failureCount)
        try same("slabsGivenBack", all.slabsGivenBack, all.slabAllocations - all.slabs)
        try same("the upstream's bytes", arena.blockBytes, upstream.statistics.liveBytes)
        try same("held", account.heldBytes, account.liveBytes + account.overheadBytes + account.freeBytes)
        try same("live bytes", account.liveBytes, items.values.reduce(0) { $0 + $1.chunkSize })
        try same("free bytes", account.freeBytes, all.classes.reduce(0) { $0 + $1.bytesFree })
        var inUse: [Int: (chunks: Int, requested: Int)] = [:]
        for item in items.values {
            inUse[item.chunkSize, default: (0, 0)].chunks += 1
            inUse[item.chunkSize, default: (0, 0)].requested += item.requested
        }
        for kind in all.classes {
            try same("in use of \(kind.chunkSize)", kind.chunksInUse, inUse[kind.chunkSize]?.chunks ?? 0)
            try same("requested of \(kind.chunkSize)", kind.bytesRequested, inUse[kind.chunkSize]?.requested ?? 0)
            try same("chunks", kind.chunks, kind.chunksFree + kind.chunksInUse + kind.chunksRetired)
            try same("chunks of slabs", kind.chunks, kind.slabs * (arena.slabSize / kind.chunkSize))
        }
    }
}
