// What the protocol's commands mean, on a store of their own.

import CacheStore
import Testing

@Suite struct CacheStoreTests {
    @Test func storingAndFinding() throws {
        let client = try StoreClient()
        #expect(client.get("a") == nil)
        #expect(client.store("a", "one", flags: 5) == .stored)
        #expect(client.get("a")?.text == "one")
        #expect(client.get("a")?.flags == 5)
        #expect(client.store("a", "") == .stored)
        #expect(client.get("a")?.value == [])
        #expect(client.delete("a"))
        #expect(!client.delete("a"))
        try client.store.close()
    }

    @Test func modes() throws {
        let client = try StoreClient()
        #expect(client.store("a", "x", mode: .replace) == .notStored)
        #expect(client.store("a", "x", mode: .append) == .notStored)
        #expect(client.store("a", "x", mode: .compareAndSwap, unique: 1) == .notFound)
        #expect(client.store("a", "x", mode: .add, flags: 3) == .stored)
        #expect(client.store("a", "y", mode: .add) == .notStored)
        #expect(client.store("a", "<", mode: .prepend, flags: 9) == .stored)
        #expect(client.store("a", ">", mode: .append, flags: 9) == .stored)
        #expect(client.text("a") == "<x>")
        #expect(client.get("a")?.flags == 3, "the flags stay")
        let unique = try #require(client.get("a")?.unique)
        #expect(client.store("a", "z", mode: .compareAndSwap, unique: unique) == .stored)
        #expect(client.store("a", "w", mode: .compareAndSwap, unique: unique) == .exists)
        #expect(client.text("a") == "z")
        try client.store.close()
    }

    @Test func valuesOfEverySize() throws {
        let client = try StoreClient(megabytes: 32)
        let partSize = client.store.partSize
        var sizes = [0, 1, 31, 32, 100, 4095, 4096, 4097, 100_000, 1_000_000]
        for count in 1...3 { sizes += (-40...40).map { count * partSize + $0 } }
        for size in sizes {
            let value = bytes(size, seed: size)
            #expect(client.store("k", value) == .stored)
            #expect(client.get("k")?.value == value)
            #expect(try client.store("p", value, byteCountAtATime: 1000) == .stored)
            #expect(client.get("p")?.value == value)
            #expect(client.store("k", value, mode: .append) == (size * 2 < 1_000_000 ? .stored : .notStored))
            #expect(client.get("k")?.value == (size * 2 < 1_000_000 ? value + value : value))
        }
        client.store.arena.checkInvariants()
        try client.store.close()
    }

    @Test func tooLarge() throws {
        let client = try StoreClient()
        // As memcached counts: 48 + 8 + the key and 1 + the value and 2.
        let largest = (1 << 20) - 48 - 8 - 2 - 2
        #expect(client.store("k", bytes(largest, seed: 1)) == .stored)
        #expect(client.store("k", bytes(largest + 1, seed: 1)) == .tooLarge)
        #expect(client.get("k") == nil, "what was to be overwritten is gone")
        #expect(client.store("k", bytes(largest, seed: 1)) == .stored)
        #expect(client.store("k", bytes(largest + 1, seed: 1), mode: .add) == .tooLarge)
        #expect(client.get("k") != nil)
        try client.store.close()
    }

    @Test func arithmetic() throws {
        let client = try StoreClient()
        func value(_ result: ArithmeticResult) -> UInt64? {
            if case .value(let value) = result { value } else { nil }
        }
        client.store("n", "10", flags: 4)
        #expect(value(client.change("n", by: 5)) == 15)
        #expect(value(client.change("n", by: 7, isSubtracted: true)) == 8)
        #expect(client.text("n") == "8 ", "padded, as the value had two bytes")
        #expect(value(client.change("n", by: 1000)) == 1008)
        #expect(client.get("n")?.flags == 4)
        #expect(value(client.change("n", by: 2000, isSubtracted: true)) == 0)
        client.store("n", "18446744073709551615")
        #expect(value(client.change("n", by: 2)) == 1)
        client.store("n", "x")
        guard case .notANumber = client.change("n", by: 1) else { throw Unexpected() }
        guard case .notFound = client.change("m", by: 1) else { throw Unexpected() }
        // Where a value is in several parts, the first may end where the digits do.
        for count in stride(from: 10_000, to: 19_000, by: 7) {
            client.store("long", "7" + String(repeating: "x", count: count))
            guard case .notANumber = client.change("long", by: 1) else { throw Unexpected() }
        }
        // While a reply shares it, a value must not change.
        client.store("s", "41" + String(repeating: " ", count: 5000))
        let parts = client.share("s")
        let before = parts.map { Array($0) }
        #expect(value(client.change("s", by: 1)) == 42)
        #expect(parts.map { Array($0) } == before)
        client.store.releaseShared(parts)
        try client.store.close()
    }

    @Test func expiry() throws {
        let client = try StoreClient()
        client.store("never", "x")
        client.store("past", "x", expiry: -1)
        client.store("soon", "x", expiry: 10)
        client.store("date", "x", expiry: 30 * 24 * 60 * 60 + 1)
        client.store("touched", "x", expiry: 10)
        #expect(client.get("past") == nil)
        #expect(client.get("date") == nil, "a date in 1970")
        #expect(client.touch("touched", 100))
        #expect(client.get("soon") != nil)
        client.store.tick(to: 12)
        #expect(client.get("soon") == nil)
        #expect(client.store("soon", "y", mode: .add) == .stored)
        #expect(client.get("touched", touching: 0) != nil)
        client.store.tick(to: 1_000_000)
        #expect(client.get("touched") != nil)
        #expect(client.get("never") != nil)
        try client.store.close()
    }

    @Test func flushing() throws {
        let client = try StoreClient()
        client.store("a", "1")
        client.store.flushAll(after: 0)
        #expect(client.get("a") == nil)
        client.store("b", "2")
        client.store.flushAll(after: 10)
        client.store("c", "3")
        #expect(client.get("b") != nil)
        client.store.tick(to: 12)
        #expect(client.get("b") == nil)
        #expect(client.get("c") == nil)
        client.store("d", "4")
        #expect(client.get("d") != nil)
        // The crawler frees what nobody asks for.
        for number in 0..<1000 { client.store("old\(number)", "x") }
        client.store.flushAll(after: 0)
        for _ in 0..<1000 { client.store("new", "x") }
        #expect(client.number("curr_items") == 1)
        try client.store.close()
    }

    @Test func abandoned() throws {
        let client = try StoreClient()
        let key = Array("k".utf8)
        try key.withUnsafeBytes { key in
            var pending = try client.store.begin(
                ItemDescription(mode: .set, key: key, valueByteCount: 100_000)
            ).get()
            bytes(50_000, seed: 1).withUnsafeBytes { pending.write($0) }
            #expect(pending.missing == 50_000)
            client.store.abandon(pending)
        }
        #expect(client.get("k") == nil)
        try client.store.close()
    }
}

struct Unexpected: Error {}
