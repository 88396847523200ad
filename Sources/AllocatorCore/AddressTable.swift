// A hash table from addresses to plain values, for allocators that must know a block from its address alone.
//
// Layout: one array of entries, a power of two of them, linear probing, at most three quarters in use; address 0 marks
// an entry that is free. An entry is removed by moving later ones back, so that no marks are left and a look-up stays
// short. The array comes from malloc, never from the allocator that uses the table. Cost: O(1) expected. Thread-safety:
// none.
//
// A plain struct, freed by its owner's deinit: a generic noncopyable struct can lose its own deinit in debug builds.

@frozen @usableFromInline
package struct AddressTable<Value: BitwiseCopyable> {
    @frozen @usableFromInline
    package struct Entry: BitwiseCopyable {
        @usableFromInline package var address: UInt
        @usableFromInline package var value: Value

        @inlinable @inline(__always)
        init(address: UInt, value: Value) {
            self.address = address
            self.value = value
        }
    }

    @usableFromInline var entries: UnsafeMutablePointer<Entry>?
    /// 64 less the logarithm of the capacity.
    @usableFromInline var shift: UInt = 64
    @usableFromInline package var count = 0

    @inlinable
    package init() {}

    @inlinable
    var capacity: Int { entries == nil ? 0 : 1 << Int(64 - shift) }

    /// Bytes that the table takes from malloc.
    @inlinable
    package var byteCount: Int { capacity * MemoryLayout<Entry>.stride }

    @inlinable @inline(__always)
    func home(_ address: UInt) -> Int {
        // Fibonacci hashing: addresses differ in their middle bits, the product spreads them to the highest.
        Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) &>> shift)
    }

    /// Where the address's entry is, or nil.
    @inlinable
    package func find(_ address: UInt) -> UnsafeMutablePointer<Value>? {
        guard let entries else { return nil }
        var index = home(address)
        while true {
            let found = entries[index].address
            if found == address {
                return UnsafeMutableRawPointer(entries + index)
                    .advanced(by: MemoryLayout<Entry>.offset(of: \.value).unsafelyUnwrapped)
                    .assumingMemoryBound(to: Value.self)
            }
            if found == 0 { return nil }
            index = (index &+ 1) & (capacity &- 1)
        }
    }

    @inlinable
    package subscript(address: UInt) -> Value? { find(address)?.pointee }

    /// Enters an address that is not there. False where there is no memory for a larger table: nothing has changed
    /// then.
    @inlinable
    package mutating func insert(_ address: UInt, _ value: Value) -> Bool {
        assert(address != 0 && find(address) == nil)
        if (count + 1) * 4 > capacity * 3, !grow() { return false }
        place(Entry(address: address, value: value))
        count += 1
        return true
    }

    /// Takes an address out, and says what was there.
    @discardableResult @inlinable
    package mutating func remove(_ address: UInt) -> Value? {
        guard let entries, let found = find(address) else { return nil }
        let value = found.pointee
        let mask = capacity - 1
        var gap = home(address)
        while entries[gap].address != address { gap = (gap + 1) & mask }
        var next = (gap + 1) & mask
        while entries[next].address != 0 {
            // An entry may fill the gap if its home is not after the gap, going round.
            if (next - home(entries[next].address)) & mask >= (next - gap) & mask {
                entries[gap] = entries[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        entries[gap].address = 0
        count -= 1
        return value
    }

    /// Visits every entry, in no order.
    @inlinable
    package func visit(_ body: (UInt, Value) throws -> Void) rethrows {
        for index in 0..<capacity where entries![index].address != 0 {
            try body(entries![index].address, entries![index].value)
        }
    }

    /// Gives the table's memory back; it is empty then.
    @inlinable
    package mutating func removeAll() {
        entries.map { SystemAllocator().deallocate($0) }
        self = AddressTable()
    }

    @inlinable
    mutating func place(_ entry: Entry) {
        var index = home(entry.address)
        while entries![index].address != 0 { index = (index + 1) & (capacity - 1) }
        entries![index] = entry
    }

    @inlinable
    mutating func grow() -> Bool {
        let newCapacity = max(capacity * 2, 16)
        guard let fresh = try? SystemAllocator().allocate(Entry.self, count: newCapacity).baseAddress else {
            return false
        }
        UnsafeMutableRawPointer(fresh).initializeMemory(
            as: UInt8.self, repeating: 0, count: newCapacity * MemoryLayout<Entry>.stride)
        let old = entries
        let oldCapacity = capacity
        entries = fresh
        shift = UInt(64 - newCapacity.trailingZeroBitCount)
        for index in 0..<oldCapacity where old![index].address != 0 { place(old![index]) }
        old.map { SystemAllocator().deallocate($0) }
        return true
    }
}
