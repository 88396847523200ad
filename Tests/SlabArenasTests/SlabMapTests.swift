// The map from addresses to slabs beside a dictionary: what it finds is right, and what lies close together is found.

import Testing

@testable import SlabArenas

@Suite struct SlabMapTests {
    static let alignment: UInt = 4096

    private func entry(_ number: Int) -> SlabMapEntry { SlabMapEntry(reciprocal: UInt(number + 1), carved: 32) }

    /// Slabs side by side, entered upwards, downwards and from the middle: every byte of each leads to it.
    @Test(arguments: [Array(0..<200), Array((0..<200).reversed()), (0..<200).map { ($0 * 77 + 90) % 200 }])
    func whatLiesCloseTogetherIsFound(order: [Int]) {
        var map = SlabMap(slabAlignment: Self.alignment)
        let low: UInt = 0x7000_0000_0000
        for (index, place) in order.enumerated() {
            let base = low + UInt(place) * Self.alignment
            // The limit allows for all of them from the first on.
            map.reserve(base, slabCount: 200)
            map.set(base, entry(place))
            for entered in order[...index] {
                let base = low + UInt(entered) * Self.alignment
                #expect(map.find(base) == entry(entered) && map.find(base + Self.alignment - 1) == entry(entered))
            }
        }
        #expect(map.find(low - 1) == nil && map.find(low + 200 * Self.alignment) == nil)
        #expect(map.entries.count == 200)
        map.removeAll()
        #expect(map.find(low) == nil && map.byteCount == 0)
    }

    /// Wherever slabs come and go, the map finds nothing that isn't there, and stays small.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func nothingIsFoundThatIsNotThere(seed: UInt64) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func random(_ bound: UInt) -> UInt {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt(state) % bound
        }
        var map = SlabMap(slabAlignment: Self.alignment)
        var model: [UInt: SlabMapEntry] = [:]
        var most = 0
        // Near together, some of them; at the ends of the address space; anywhere.
        func place() -> UInt {
            switch random(4) {
            case 0: random(8)
            case 1: (1 << 51) - 1 - random(8)
            case 2: random(1 << 51)
            default: (1 << 40) + random(300)
            }
        }
        for step in 0..<3000 {
            let base = place() * Self.alignment
            if model[base] != nil {
                map.set(base, SlabMapEntry())
                model[base] = nil
            } else {
                model[base] = entry(step)
                most = max(most, model.count)
                map.reserve(base, slabCount: model.count)
                map.set(base, entry(step))
            }
            let asked = place() * Self.alignment + random(Self.alignment)
            if let found = map.find(asked) { #expect(found == model[asked & ~(Self.alignment - 1)]) }
            #expect(map.byteCount <= most * 16 * MemoryLayout<SlabMapEntry>.stride)
        }
        for (base, entry) in map.entries { #expect(model[base] == entry) }
        map.removeAll()
    }
}
