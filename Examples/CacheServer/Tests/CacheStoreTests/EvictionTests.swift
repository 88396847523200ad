// What a store does at its memory limit: always against a model that knows what each key's value was.

import CacheStore
import Testing

@Suite struct EvictionTests {
    @Test func theLimitHolds() throws {
        let client = try StoreClient(megabytes: 8)
        for number in 0..<60_000 { client.store("key\(number)", bytes(number % 500, seed: number)) }
        let held = client.store.quota.liveBytes + client.store.indexBytes
        #expect(held <= 8 << 20)
        #expect(held > 7 << 20)
        #expect(try #require(client.number("evictions")) > 0)
        #expect(client.get("key59999") != nil)
        #expect(client.get("key0") == nil)
        client.store.arena.checkInvariants()
        try client.store.close()
    }

    @Test func whatIsUsedStays() throws {
        let client = try StoreClient(megabytes: 8)
        for number in 0..<100 { client.store("used\(number)", bytes(200, seed: number)) }
        for number in 0..<60_000 {
            client.store("key\(number)", bytes(200, seed: number))
            #expect(client.get("used\(number % 100)") != nil)
        }
        try client.store.close()
    }

    /// Uses are counted modulo 2^32: what was used last so many uses ago must not look as if it were new.
    @Test func whatIsOlderThanTheCountOfUses() throws {
        let client = try StoreClient(megabytes: 8)
        client.store("old", bytes(1000, seed: 1))
        client.store.index.uses &+= 3 << 30
        for number in 0..<4 { client.store("later\(number)", bytes(20, seed: number)) }
        client.store.index.uses &+= 1 << 30
        #expect(client.store.index.groupToEvict() == ItemIndex.group(byteCount: 1000))
        #expect(client.store.locked { client.store.evict() })
        #expect(client.get("old") == nil)
        #expect(client.get("later0") != nil)
        try client.store.close()
    }

    /// Sizes that shift from small to large and back, references in flight all the while.
    @Test(arguments: [1, 2, 3]) func shiftingSizes(seed: Int) throws {
        let client = try StoreClient(megabytes: 8)
        var random = SplitMix64(state: UInt64(seed))
        var model: [String: Int] = [:]
        var shared: [(parts: [UnsafeMutableRawBufferPointer], size: Int, seed: Int)] = []
        var hits = 0
        let phases = [(16, 200), (1000, 3000), (20_000, 200_000), (16, 100), (100, 1_000_000), (1500, 1600)]
        for (smallest, largest) in phases {
            for step in 0..<2000 {
                let key = "key\(random.next() % 3000)"
                switch random.next() % 8 {
                case 0: if client.delete(key) { model[key] = nil }
                case 1:
                    guard let size = model[key] else { break }
                    let parts = client.share(key)
                    if !parts.isEmpty { shared.append((parts, size, Int(key.dropFirst(3))! &+ size)) }
                case 2, 3, 4:
                    guard let size = model[key], let found = client.get(key) else { break }
                    hits += 1
                    #expect(found.value == bytes(size, seed: Int(key.dropFirst(3))! &+ size))
                default:
                    let size = smallest + Int(random.next() % UInt64(largest - smallest + 1))
                    if step % 3 != 0 || largest < 100_000 {
                        let value = bytes(size, seed: Int(key.dropFirst(3))! &+ size)
                        let result = client.store(key, value)
                        #expect(result == .stored || result == .outOfMemory)
                        model[key] = size
                    }
                }
                if shared.count > 5 {
                    let (parts, size, seed) = shared.removeFirst()
                    #expect(parts.flatMap { Array($0) } == bytes(size, seed: seed), "shared bytes stay as they are")
                    client.store.releaseShared(parts)
                }
            }
            client.store.arena.checkInvariants()
            #expect(client.store.quota.liveBytes + client.store.indexBytes <= 8 << 20)
        }
        for (parts, _, _) in shared { client.store.releaseShared(parts) }
        #expect(hits > 500)
        #expect(try #require(client.number("chunks_moved")) > 0)
        try client.store.close()
    }
}

struct SplitMix64 {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
