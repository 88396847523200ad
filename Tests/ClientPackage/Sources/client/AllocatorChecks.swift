// Regions, and allocators as a user composes them: values end with their region, and no block outlives its owner.

import Mallow

struct Pair: ~Copyable {
    let first: Token
    let second: Token
}

/// A region is lent while its results are in scope: here they end with the function.
func fill(_ region: borrowing Region) throws { _ = try region.allocate(Token(1)) }

func checkRegions() {
    check("Region, values end with it", ends: 2) {
        let region = Region(upstream: StatelessAllocator())
        _ = try region.allocate(Token(1))
        _ = try region.allocate(Token(2))
        expect(tally.live == 2, "the values of a region live")
    }
    check("Region, nested values", ends: 4) {
        let region = Region(upstream: StatelessAllocator())
        for number in 0..<2 { _ = try region.allocate(Pair(first: Token(number), second: Token(number))) }
    }
    check("Region, reset", ends: 3) {
        var region = Region(upstream: StatelessAllocator())
        _ = try region.allocate(Token(1))
        _ = try region.allocate(Token(2))
        region.reset()
        expect(tally.ended == 2, "a reset ends the values")
        _ = try region.allocate(Token(3))
    }
    check("Region, consumed by a generic function", ends: 1) {
        let region = Region(upstream: StatelessAllocator())
        try fill(region)
        end(region)
    }
    check("Region, in an optional", ends: 1) {
        var region: Region? = Region(upstream: StatelessAllocator())
        _ = try region!.allocate(Token(1))
        region = nil
        expect(tally.ended == 1 && region == nil, "nil ends the region")
    }
    check("Region, boxed", ends: 1) {
        let box = try Box(Region(upstream: StatelessAllocator()), in: StatelessAllocator())
        try fill(box.value)
    }
    check("Region, its child", ends: 2) {
        let region = Region(upstream: StatelessAllocator())
        _ = try region.allocate(Token(1))
        do {
            let child = region.makeChild()
            _ = try child.allocate(Token(2))
        }
        expect(tally.ended == 1, "a child ends its values")
    }
    check("Region, objects", ends: 1) {
        let region = Region(upstream: StatelessAllocator())
        _ = try region.allocate(Witness())
    }
}

func checkPools() {
    check("FixedBlockAllocator, boxes", ends: 1000) {
        let pool = try FixedBlockAllocator(blockSize: 64, upstream: StatelessAllocator())
        for number in 0..<1000 { _ = try Box(Token(number), in: pool) }
        expect(pool.statistics.liveBlocks == 0, "boxes give their blocks back")
        try pool.close()
    }
    check("FixedBlockAllocator, ends before its boxes", ends: 1) {
        func box() throws -> Box<Token, FixedBlockAllocator<StatelessAllocator>> {
            try Box(Token(1), in: FixedBlockAllocator(blockSize: 64, upstream: StatelessAllocator()))
        }
        let boxed = try box()
        expect(boxed.value.number == 1 && liveBlocks > 0, "a box keeps its pool")
    }
    check("FixedBlockAllocator, gives back what is live", ends: 0) {
        let pool = try FixedBlockAllocator(blockSize: 64, upstream: StatelessAllocator())
        for _ in 0..<100 { _ = try pool.allocate(byteCount: 64) }
        expect(pool.findLeaks()?.blocks == 100, "what is live is a leak")
    }
}
