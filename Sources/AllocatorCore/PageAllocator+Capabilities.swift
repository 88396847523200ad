// Resizing in place, freeing all, the account, closing; and the check of the invariants for tests.

internal import SystemMemory

extension PageAllocator: ResizableAllocator {
    /// Changes the number of a block's pages without moving it: shrinking gives pages back to the system, growing takes
    /// the addresses behind the block where they are free (Linux only).
    ///
    /// - Returns: the block, whole pages of it, or nil where the kernel refuses: nothing has changed then.
    /// - Complexity: O(1): up to two system calls; none where the number of pages stays.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("PageAllocator", byteCount) }
        let record = liveRecord(pointer)
        guard let newRoom = room(for: byteCount) else { return nil }
        let base = UInt(bitPattern: pointer)
        let old = record.pointee
        if newRoom > old.room {
            guard base &+ newRoom > base, grow(base, record, to: newRoom) else { return nil }
        } else if newRoom < old.room {
            guard shrink(base, record, to: newRoom) else { return nil }
        }
        let new = record.pointee
        account.liveBytes &+= Int(bitPattern: new.room &- old.room)
        account.totalBytes &+= new.room > old.room ? Int(bitPattern: new.room &- old.room) : 0
        account.peakBytes = max(account.peakBytes, account.liveBytes)
        account.heldBytes &+= Int(bitPattern: new.mapping.byteCount &- old.mapping.byteCount)
        account.overheadBytes &+= new.overhead &- old.overhead
        return UnsafeMutableRawBufferPointer(start: pointer, count: Int(bitPattern: new.room))
    }

    private func grow(_ base: UInt, _ record: UnsafeMutablePointer<Record>, to newRoom: UInt) -> Bool {
        let oldEnd = base &+ record.pointee.room
        let needed = base &+ newRoom &+ guardBytes
        let mapping = record.pointee.mapping
        // What a failed unmapping left behind the block may be there to grow into.
        if needed > mapping.end {
            // The kernel resizes a range of one kind: the block, or the guard behind it and what else is inaccessible.
            let start = hasGuardPages ? oldEnd : mapping.address
            guard
                SystemMemory.resizeInPlace(
                    address: start, from: mapping.end &- start, to: needed &- start)
            else { return false }
            record.pointee.mapping.byteCount = needed &- mapping.address
        }
        if hasGuardPages,
            !SystemMemory.protect(address: oldEnd, byteCount: newRoom &- record.pointee.room, access: .readWrite)
        {
            record.pointee.mapping.trim(to: mapping.address, end: mapping.end)
            let kept = Int(bitPattern: record.pointee.mapping.byteCount &- mapping.byteCount)
            account.heldBytes &+= kept
            account.overheadBytes &+= kept
            return false
        }
        record.pointee.room = newRoom
        if wantsHugePages(newRoom) { SystemMemory.adviseHugePages(address: base, byteCount: newRoom) }
        return true
    }

    private func shrink(_ base: UInt, _ record: UnsafeMutablePointer<Record>, to newRoom: UInt) -> Bool {
        let newEnd = base &+ newRoom
        let dropped = record.pointee.room &- newRoom
        if hasGuardPages {
            guard SystemMemory.protect(address: newEnd, byteCount: dropped, access: .none) else { return false }
        }
        let mapping = record.pointee.mapping
        record.pointee.mapping.trim(to: mapping.address, end: newEnd &+ guardBytes)
        // The first of the dropped pages is the guard now, or the kernel keeps them all: they need no memory behind
        // them.
        let kept = min(record.pointee.mapping.end &- newEnd, dropped)
        if kept > 0 {
            SystemMemory.discard(address: newEnd, byteCount: kept)
            #if !os(Linux)
                // There discarding maps afresh, to be read and written.
                if hasGuardPages { _ = SystemMemory.protect(address: newEnd, byteCount: kept, access: .none) }
            #endif
        }
        record.pointee.room = newRoom
        return true
    }
}

extension PageAllocator: ResettableAllocator {
    /// Gives every live block's pages back to the system. O(number of blocks).
    public func freeAll() {
        var bases: [UInt] = []
        records.visit({ base, record in if record.isLive { bases.append(base) } })
        for base in bases { deallocate(UnsafeMutableRawPointer(bitPattern: base).unsafelyUnwrapped) }
    }
}

extension PageAllocator: MeasuredAllocator {
    /// The account: held are all mappings, guards included, and the table of blocks; nothing is ever free, since what
    /// is freed goes back to the system. O(1).
    public var statistics: AllocatorStatistics {
        var statistics = account
        statistics.heldBytes &+= records.byteCount
        statistics.overheadBytes &+= records.byteCount
        return statistics
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "PageAllocator") }

    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        retryStranded()
        if records.count == 0 { records.removeAll() }
    }

    /// What is wrong with the records, or nil. O(n log n).
    package func brokenInvariant() -> String? {
        var sums = AllocatorStatistics()
        var stranded = 0
        var mappings: [PageMapping] = []
        var broken: String?
        records.visit({ base, record in
            mappings.append(record.mapping)
            sums.heldBytes += Int(record.mapping.byteCount)
            sums.overheadBytes += record.overhead
            if record.isLive {
                sums.liveBlocks += 1
                sums.liveBytes += Int(record.room)
                if base % pageBytes != 0 || record.room % pageBytes != 0 || record.room == 0
                    || base < record.mapping.address &+ guardBytes
                    || base &+ record.room &+ guardBytes > record.mapping.end
                {
                    broken = "I3: the block at \(base) does not lie in its mapping"
                }
            } else {
                stranded += 1
                if record.room != 0 { broken = "I2: the stranded record at \(base) has room" }
            }
        })
        mappings.sort { $0.address < $1.address }
        for (one, next) in zip(mappings, mappings.dropFirst()) where one.end > next.address {
            broken = "I1: two mappings overlap at \(next.address)"
        }
        var base = firstStranded
        while base != 0 {
            guard let record = records[base], !record.isLive, stranded > 0 else {
                return "I2: the list of stranded mappings is broken at \(base)"
            }
            stranded -= 1
            base = record.next
        }
        if stranded != 0 { broken = "I2: \(stranded) stranded mappings are not in their list" }
        if sums.heldBytes != account.heldBytes || sums.overheadBytes != account.overheadBytes
            || sums.liveBlocks != account.liveBlocks || sums.liveBytes != account.liveBytes
        {
            broken = "I4: the account is \(account), and the blocks add up to \(sums)"
        }
        return broken
    }
}
