// Storing items: `set`, `add`, `replace`, `append`, `prepend`, `cas`.
//
// The memory of an item is allocated first and its value written into it, which for a large one takes many reads from
// the client; only then does the item enter the index. So an item that is in the index is whole, and until then its
// memory is nobody else's: it is written without the lock.

import Mallow

/// What is to be stored.
public struct ItemDescription {
    public enum Mode: Sendable { case set, add, replace, append, prepend, compareAndSwap }

    public var mode: Mode
    public var key: UnsafeRawBufferPointer
    public var flags: UInt32
    public var expiry: Int32
    public var valueByteCount: Int
    /// What `compareAndSwap` expects.
    public var unique: UInt64

    public init(
        mode: Mode, key: UnsafeRawBufferPointer, flags: UInt32 = 0, expiry: Int32 = 0, valueByteCount: Int,
        unique: UInt64 = 0
    ) {
        (self.mode, self.key, self.flags, self.expiry) = (mode, key, flags, expiry)
        (self.valueByteCount, self.unique) = (valueByteCount, unique)
    }
}

public enum StoreResult: Sendable { case stored, notStored, exists, notFound, tooLarge, outOfMemory }

/// An item whose value is still to come. Ends by ``CacheStore/finish(_:)`` or ``CacheStore/abandon(_:)``.
public struct PendingItem {
    let mode: ItemDescription.Mode
    let expiry: UInt32
    let unique: UInt64
    let item: UnsafeMutableRawBufferPointer
    var writer: PartWriter
    /// How many bytes of the value are missing.
    public private(set) var missing: Int

    init(_ description: ItemDescription, expiry: UInt32, item: UnsafeMutableRawBufferPointer, _ writer: PartWriter) {
        (mode, unique, missing) = (description.mode, description.unique, description.valueByteCount)
        (self.expiry, self.item, self.writer) = (expiry, item, writer)
    }

    /// Writes the next bytes of the value: at most `missing`. Needs no lock.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) {
        writer.write(bytes)
        missing -= bytes.count
    }

    /// Where the rest of the value belongs, and behind it another vector, for `readv`: then call ``advance(_:)``. Needs
    /// no lock.
    public func withMissingParts(and last: iovec, _ body: (UnsafeBufferPointer<iovec>) -> Int) -> Int {
        writer.withVectors(and: last, body)
    }

    /// Notes that so many bytes of the value were written.
    public mutating func advance(_ byteCount: Int) {
        writer.advance(byteCount)
        missing -= byteCount
    }
}

extension CacheStore {
    /// Stores an item whose value is at hand.
    public func store(_ description: ItemDescription, value: UnsafeRawBufferPointer) -> StoreResult {
        if isTooLarge(description) { return refuseTooLarge(description) }
        let hash = hash(description.key)
        lock.acquire()
        defer { lock.release() }
        counters.setCommands &+= 1
        guard let item = allocateItem(description) else { return outOfMemory(description, hash) }
        let head = ItemHead(item.baseAddress.unsafelyUnwrapped)
        if item.count == head.byteCount {
            if let source = value.baseAddress {
                (head.base + head.valueOffset).copyMemory(from: source, byteCount: value.count)
            }
        } else {
            var rest = value
            forEachPart(of: item, from: head.valueOffset) { part in
                part.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<part.count]))
                rest = UnsafeRawBufferPointer(rebasing: rest[part.count...])
            }
        }
        return enter(item, description.mode, hash, expiry(description.expiry), description.unique)
    }

    /// Makes room for an item whose value is still to come.
    public func begin(_ description: ItemDescription) -> Result<PendingItem, StoreFailure> {
        if isTooLarge(description) { return .failure(StoreFailure(result: refuseTooLarge(description))) }
        return locked {
            counters.setCommands += 1
            guard let item = allocateItem(description) else {
                return .failure(StoreFailure(result: outOfMemory(description, hash(description.key))))
            }
            var parts: [UnsafeMutableRawBufferPointer] = []
            parts.reserveCapacity(description.valueByteCount / partSize + 2)
            forEachPart(of: item, from: ItemHead(item.baseAddress.unsafelyUnwrapped).valueOffset) { parts.append($0) }
            return .success(
                PendingItem(description, expiry: expiry(description.expiry), item: item, PartWriter(parts)))
        }
    }

    /// Enters an item whose value is complete.
    public func finish(_ pending: PendingItem) -> StoreResult {
        precondition(pending.missing == 0, "bytes of the value are missing")
        let hash = hash(ItemHead(pending.item.baseAddress.unsafelyUnwrapped).key)
        return locked { enter(pending.item, pending.mode, hash, pending.expiry, pending.unique) }
    }

    /// Gives the memory of an item back whose value will not come.
    public func abandon(_ pending: PendingItem) {
        locked { _ = arena.release(pending.item) }
    }

    // MARK: - Inside the lock

    /// Counted as memcached counts, so that the same items fit: 48 bytes of header, 8 of cas, the key and a zero byte,
    /// flags if there are any, the value and a line end.
    private func isTooLarge(_ description: ItemDescription) -> Bool {
        isTooLarge(key: description.key.count, flags: description.flags, value: description.valueByteCount)
    }

    func isTooLarge(key: Int, flags: UInt32, value: Int) -> Bool {
        48 + 8 + key + 1 + (flags == 0 ? 0 : 4) + value + 2 > configuration.largestItem
            || value > ItemHead.largestValue
    }

    private func refuseTooLarge(_ description: ItemDescription) -> StoreResult {
        let hash = hash(description.key)
        return locked {
            counters.tooLarge += 1
            removeStale(description, hash)
            return .tooLarge
        }
    }

    private func outOfMemory(_ description: ItemDescription, _ hash: UInt32) -> StoreResult {
        counters.noMemory += 1
        removeStale(description, hash)
        return .outOfMemory
    }

    /// A `set` that fails leaves nothing behind that its client takes for overwritten.
    private func removeStale(_ description: ItemDescription, _ hash: UInt32) {
        if description.mode == .set, let (number, _) = find(description.key, hash) { remove(number, hash) }
    }

    private func allocateItem(_ description: ItemDescription) -> UnsafeMutableRawBufferPointer? {
        allocateItem(key: description.key, flags: description.flags, valueByteCount: description.valueByteCount)
    }

    /// Memory for an item, with its header and key in place.
    func allocateItem(
        key: UnsafeRawBufferPointer, flags: UInt32, valueByteCount: Int
    ) -> UnsafeMutableRawBufferPointer? {
        let valueOffset = ItemHead.byteCount(flags: flags) + key.count
        guard let item = allocateItem(valueOffset + valueByteCount, valueOffset: valueOffset) else { return nil }
        _ = ItemHead(item.baseAddress.unsafelyUnwrapped, key: key, flags: flags, valueByteCount: valueByteCount)
        return item
    }

    /// Decides what becomes of a complete item; its reference is the index's, or gone.
    private func enter(
        _ item: UnsafeMutableRawBufferPointer, _ mode: ItemDescription.Mode, _ hash: UInt32, _ expiry: UInt32,
        _ unique: UInt64
    ) -> StoreResult {
        crawl()
        let old = find(ItemHead(item.baseAddress.unsafelyUnwrapped).key, hash)
        switch mode {
        case .set: break
        case .add:
            guard let old else { break }
            index.use(old.number)
            arena.release(item)
            return .notStored
        case .replace:
            if old == nil { return refuse(item, .notStored) }
        case .compareAndSwap:
            guard let old else {
                counters.casMisses += 1
                return refuse(item, .notFound)
            }
            if ItemHead(old.item.baseAddress.unsafelyUnwrapped).unique != unique {
                counters.casMismatches += 1
                return refuse(item, .exists)
            }
            counters.casHits += 1
        case .append, .prepend:
            guard let old else { return refuse(item, .notStored) }
            return join(old, item, hash, isPrepended: mode == .prepend)
        }
        if let old {
            replace(old.number, by: item, expiry: expiry)
        } else if !insert(item, hash, expiry: expiry) {
            return .outOfMemory
        }
        return .stored
    }

    private func refuse(_ item: UnsafeMutableRawBufferPointer, _ result: StoreResult) -> StoreResult {
        arena.release(item)
        return result
    }

    /// Enters a new item under an entry of its own.
    private func insert(_ item: UnsafeMutableRawBufferPointer, _ hash: UInt32, expiry: UInt32) -> Bool {
        guard makeRoomForEntry() else {
            arena.release(item)
            counters.noMemory += 1
            return false
        }
        stamp(item)
        let byteCount = ItemHead(item.baseAddress.unsafelyUnwrapped).byteCount
        index.insert(arena.store(item), byteCount: byteCount, hash: hash, expiry: expiry)
        return true
    }

    /// Puts an item in the place of another with the same key.
    func replace(_ number: UInt32, by item: UnsafeMutableRawBufferPointer, expiry: UInt32) {
        let old = index[number].pointee.location
        counters.itemBytes -= head(number).byteCount
        stamp(item)
        let byteCount = ItemHead(item.baseAddress.unsafelyUnwrapped).byteCount
        index.replace(number, by: arena.store(item), byteCount: byteCount, expiry: expiry)
        arena.release(at: old)
    }

    private func stamp(_ item: UnsafeMutableRawBufferPointer) {
        let head = ItemHead(item.baseAddress.unsafelyUnwrapped)
        lastUnique += 1
        head.unique = lastUnique
        counters.totalItems &+= 1
        counters.itemBytes += head.byteCount
    }

    /// Stores the values of an item and of an addition to it, one behind the other, with the item's flags and expiry.
    private func join(
        _ old: (number: UInt32, item: UnsafeMutableRawBufferPointer), _ addition: UnsafeMutableRawBufferPointer,
        _ hash: UInt32, isPrepended: Bool
    ) -> StoreResult {
        let head = ItemHead(old.item.baseAddress.unsafelyUnwrapped)
        let added = ItemHead(addition.baseAddress.unsafelyUnwrapped)
        let (flags, expiry) = (head.flags, index[old.number].pointee.expiry)
        let byteCount = head.valueByteCount + added.valueByteCount
        if isTooLarge(key: head.key.count, flags: flags, value: byteCount) { return refuse(addition, .notStored) }
        // To make room the item itself may be evicted: its memory must stay until it is copied.
        arena.addReference(old.item)
        defer {
            arena.release(old.item)
            arena.release(addition)
        }
        guard let joined = allocateItem(key: head.key, flags: flags, valueByteCount: byteCount) else {
            counters.noMemory += 1
            return .notStored
        }
        var parts: [UnsafeMutableRawBufferPointer] = []
        forEachPart(of: joined, from: ItemHead(joined.baseAddress.unsafelyUnwrapped).valueOffset) { parts.append($0) }
        var writer = PartWriter(parts)
        for source in isPrepended ? [addition, old.item] : [old.item, addition] {
            let offset = ItemHead(source.baseAddress.unsafelyUnwrapped).valueOffset
            forEachPart(of: source, from: offset) { writer.write(UnsafeRawBufferPointer($0)) }
        }
        return enterAgain(joined, hash, expiry: expiry) ? .stored : .notStored
    }

    /// Enters what an item has become: in its place, or anew where it was evicted meanwhile.
    func enterAgain(_ item: UnsafeMutableRawBufferPointer, _ hash: UInt32, expiry: UInt32) -> Bool {
        if let number = find(ItemHead(item.baseAddress.unsafelyUnwrapped).key, hash)?.number {
            replace(number, by: item, expiry: expiry)
            return true
        }
        return insert(item, hash, expiry: expiry)
    }
}

/// Why an item cannot be stored.
public struct StoreFailure: Error {
    public let result: StoreResult
}
