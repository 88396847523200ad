// Looking items up: `get`, `gat`, `touch`, `delete`.

import Mallow

/// An item that was found, for as long as the store's lock is held.
public struct Hit {
    let store: CacheStore
    let item: UnsafeMutableRawBufferPointer
    let head: ItemHead

    public var flags: UInt32 { head.flags }
    public var unique: UInt64 { head.unique }
    public var valueByteCount: Int { head.valueByteCount }

    /// Copies the value to where there is room for `valueByteCount` bytes.
    public func copyValue(to target: UnsafeMutableRawPointer) {
        var target = target
        store.forEachPart(of: item, from: head.valueOffset) { part in
            target.copyMemory(from: part.baseAddress.unsafelyUnwrapped, byteCount: part.count)
            target += part.count
        }
    }

    /// Adds a reference to each part of the value, and hands it to the body: the memory stays as it is until
    /// ``CacheStore/releaseShared(_:)`` is called for it.
    public func shareValue(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        store.forEachPart(of: item, from: head.valueOffset) { part in
            store.arena.addReference(part)
            body(part)
        }
    }
}

extension CacheStore {
    /// Looks a key up.
    ///
    /// - Parameters:
    ///   - touching: a new time to expire, as the client gives it; nil leaves it as it is.
    ///   - body: is called with the item, while the store is locked: it only copies or shares the value.
    /// - Returns: whether there was one.
    @inline(__always)
    public func read(_ key: UnsafeRawBufferPointer, touching seconds: Int32? = nil, _ body: (Hit) -> Void) -> Bool {
        let hash = hash(key)
        lock.acquire()
        defer { lock.release() }
        if seconds == nil { counters.getCommands &+= 1 } else { counters.touchCommands &+= 1 }
        guard let (number, item) = find(key, hash) else {
            counters.getMisses &+= 1
            if seconds != nil { counters.touchMisses &+= 1 }
            return false
        }
        if let seconds {
            index[number].pointee.expiry = expiry(seconds)
            counters.touchHits &+= 1
        }
        counters.getHits &+= 1
        index.use(number)
        body(Hit(store: self, item: item, head: ItemHead(item.baseAddress.unsafelyUnwrapped)))
        return true
    }

    /// Ends a use that ``Hit/shareValue(_:)`` began. False where the pointer is not in the store's memory.
    public func releaseShared(_ pointer: UnsafeRawPointer) -> Bool {
        locked {
            guard arena.owns(pointer) else { return false }
            arena.release(pointer)
            return true
        }
    }

    /// Ends several such uses.
    public func releaseShared(_ parts: [UnsafeMutableRawBufferPointer]) {
        locked { for part in parts { arena.release(part) } }
    }

    /// Sets when an item expires. False where there is none.
    public func touch(_ key: UnsafeRawBufferPointer, expiry seconds: Int32) -> Bool {
        let hash = hash(key)
        return locked {
            counters.touchCommands += 1
            guard let (number, _) = find(key, hash) else {
                counters.touchMisses += 1
                return false
            }
            index[number].pointee.expiry = expiry(seconds)
            index.use(number)
            counters.touchHits += 1
            return true
        }
    }

    /// Removes an item. False where there is none.
    public func delete(_ key: UnsafeRawBufferPointer) -> Bool {
        let hash = hash(key)
        return locked {
            guard let (number, _) = find(key, hash) else {
                counters.deleteMisses += 1
                return false
            }
            remove(number, hash)
            counters.deleteHits += 1
            return true
        }
    }
}
