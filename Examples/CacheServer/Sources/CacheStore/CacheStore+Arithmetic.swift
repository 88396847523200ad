// `incr` and `decr`: the value is a number in decimal digits.

import Mallow
import MemcachedProtocol

/// What came of an addition or subtraction.
public enum ArithmeticResult: Sendable {
    case value(UInt64)
    case notFound
    case notANumber
    case outOfMemory
}

extension CacheStore {
    /// Adds to a value, modulo 2^64, or subtracts from it, down to 0.
    ///
    /// A result with fewer digits than the value had bytes is padded with spaces at its end, as memcached does it.
    public func change(_ key: UnsafeRawBufferPointer, by delta: UInt64, isSubtracted: Bool) -> ArithmeticResult {
        let hash = hash(key)
        return locked {
            guard let found = find(key, hash) else {
                if isSubtracted { counters.decrementMisses += 1 } else { counters.incrementMisses += 1 }
                return .notFound
            }
            index.use(found.number)
            let head = ItemHead(found.item.baseAddress.unsafelyUnwrapped)
            // A value in several parts is none, as in memcached: its first part may end where a number does.
            let digits = UnsafeRawBufferPointer(start: head.base + head.valueOffset, count: head.valueByteCount)
            guard found.item.count == head.byteCount, let old = Decimal.unsigned(digits) else { return .notANumber }
            let new = isSubtracted ? (old > delta ? old - delta : 0) : old &+ delta
            guard write(new, over: found, head, hash) else { return .outOfMemory }
            if isSubtracted { counters.decrementHits += 1 } else { counters.incrementHits += 1 }
            return .value(new)
        }
    }

    private func write(
        _ value: UInt64, over found: (number: UInt32, item: UnsafeMutableRawBufferPointer), _ head: ItemHead,
        _ hash: UInt32
    ) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Decimal.longest, alignment: 1) { text in
            let count = Decimal.write(value, to: text.baseAddress.unsafelyUnwrapped)
            let digits = UnsafeRawBufferPointer(rebasing: text[..<count])
            // T1: what a reply that is on its way shares must not change.
            if count <= head.valueByteCount, isUnshared(found.item) {
                fill(found.item, head, digits)
                lastUnique += 1
                head.unique = lastUnique
                return true
            }
            let (flags, expiry) = (head.flags, index[found.number].pointee.expiry)
            arena.addReference(found.item)
            defer { arena.release(found.item) }
            guard
                let item = allocateItem(
                    key: head.key, flags: flags, valueByteCount: max(count, head.valueByteCount))
            else { return false }
            fill(item, ItemHead(item.baseAddress.unsafelyUnwrapped), digits)
            return enterAgain(item, hash, expiry: expiry)
        }
    }

    /// Makes a value of digits and as many spaces as there is room for.
    private func fill(_ item: UnsafeMutableRawBufferPointer, _ head: ItemHead, _ digits: UnsafeRawBufferPointer) {
        var rest = digits
        forEachPart(of: item, from: head.valueOffset) { part in
            let count = min(rest.count, part.count)
            part.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            UnsafeMutableRawBufferPointer(rebasing: part[count...]).initializeMemory(
                as: UInt8.self, repeating: UInt8(ascii: " "))
        }
    }
}
