// A store as the tests call it.

import CacheStore

/// A store, called with strings and arrays.
struct StoreClient {
    let store: CacheStore

    init(megabytes: Int = 8, largestItem: Int = 1 << 20) throws {
        var configuration = CacheConfiguration()
        configuration.memoryLimit = megabytes << 20
        configuration.largestItem = largestItem
        store = try CacheStore(configuration)
    }

    private func withKey<Result>(_ key: String, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try Array(key.utf8).withUnsafeBytes(body)
    }

    @discardableResult
    func store(
        _ key: String, _ value: [UInt8], mode: ItemDescription.Mode = .set, flags: UInt32 = 0, expiry: Int32 = 0,
        unique: UInt64 = 0
    ) -> StoreResult {
        withKey(key) { key in
            let description = ItemDescription(
                mode: mode, key: key, flags: flags, expiry: expiry, valueByteCount: value.count, unique: unique)
            return value.withUnsafeBytes { store.store(description, value: $0) }
        }
    }

    @discardableResult
    func store(
        _ key: String, _ value: String, mode: ItemDescription.Mode = .set, flags: UInt32 = 0, expiry: Int32 = 0,
        unique: UInt64 = 0
    ) -> StoreResult {
        store(key, Array(value.utf8), mode: mode, flags: flags, expiry: expiry, unique: unique)
    }

    /// Stores so many bytes at a time, as they come from a client.
    func store(_ key: String, _ value: [UInt8], byteCountAtATime step: Int) throws -> StoreResult {
        try withKey(key) { key in
            var pending = try store.begin(ItemDescription(mode: .set, key: key, valueByteCount: value.count)).get()
            value.withUnsafeBytes { bytes in
                var rest = bytes[...]
                while !rest.isEmpty {
                    pending.write(UnsafeRawBufferPointer(rebasing: rest.prefix(step)))
                    rest = rest.dropFirst(step)
                }
            }
            return store.finish(pending)
        }
    }

    struct Found: Equatable {
        var value: [UInt8]
        var flags: UInt32
        var unique: UInt64
        var text: String { String(decoding: value, as: UTF8.self) }
    }

    func get(_ key: String, touching expiry: Int32? = nil) -> Found? {
        var found: Found?
        _ = withKey(key) { key in
            store.read(key, touching: expiry) { hit in
                let value = [UInt8](unsafeUninitializedCapacity: hit.valueByteCount) { bytes, count in
                    if hit.valueByteCount > 0 { hit.copyValue(to: UnsafeMutableRawPointer(bytes.baseAddress!)) }
                    count = hit.valueByteCount
                }
                found = Found(value: value, flags: hit.flags, unique: hit.unique)
            }
        }
        return found
    }

    func text(_ key: String) -> String? { get(key)?.text }

    /// The parts of a value, each with a reference.
    func share(_ key: String) -> [UnsafeMutableRawBufferPointer] {
        var parts: [UnsafeMutableRawBufferPointer] = []
        _ = withKey(key) { store.read($0) { $0.shareValue { parts.append($0) } } }
        return parts
    }

    func delete(_ key: String) -> Bool { withKey(key) { store.delete($0) } }
    func touch(_ key: String, _ expiry: Int32) -> Bool { withKey(key) { store.touch($0, expiry: expiry) } }

    func change(_ key: String, by delta: UInt64, isSubtracted: Bool = false) -> ArithmeticResult {
        withKey(key) { store.change($0, by: delta, isSubtracted: isSubtracted) }
    }

    func number(_ name: String) -> Int? { store.statistics().first { $0.name == name }.flatMap { Int($0.value) } }
}

/// Random bytes, of which every value is a stretch.
private let pattern: [UInt8] = {
    var random = SplitMix64(state: 1)
    let words = (0..<200_000).map { _ in random.next() }
    return words.withUnsafeBytes { Array($0) }
}()

/// A value: the same for the same seed, and most likely another for another.
func bytes(_ count: Int, seed: Int) -> [UInt8] {
    let start = Int(UInt(bitPattern: seed &* 7919) % UInt(pattern.count - count))
    return Array(pattern[start..<start + count])
}
