// Freeing blocks that lie in a row, with one look-up and one operation of what is free: what a sequence of buffers
// gives back that were allocated one after the other.

import AllocatorCore

extension ScalableAllocator {
    /// Frees blocks that lie one behind the other, if exactly so many fill the bytes, and says whether: where they do
    /// not, nothing has changed, and freeing them one by one tells what is wrong.
    ///
    /// - Parameters:
    ///   - start: the address of the first.
    ///   - byteCount: the bytes of all of them together, rounded up as each one's are.
    ///   - blocks: how many there are.
    /// - Complexity: O(1), and two words a KiB.
    package func deallocate(row start: UnsafeMutableRawPointer, byteCount: Int, blocks: Int) -> Bool {
        beginEvent()
        let address = UInt(bitPattern: start)
        let size = UInt(bitPattern: byteCount)
        // The bits of a bare child are not written; it is one block.
        guard (address | size) & 15 == 0, size > 0, let child = child(of: address),
            size <= child.pointee.end &- address, !child.pointee.isBare
        else { return false }
        let first = Int(bitPattern: (address &- child.pointee.base) &>> 4)
        guard child.pointee.bits.removeRow(first, first &+ byteCount &>> 4 &- 1, blocks: blocks) else { return false }
        account.remove(byteCount: byteCount)
        account.freedBlocks &+= blocks &- 1
        takeBack(address, address &+ size, of: child)
        return true
    }
}

extension BlockBits {
    /// Removes the blocks that fill `first...last`, if they do and are so many.
    fileprivate func removeRow(_ first: Int, _ last: Int, blocks: Int) -> Bool {
        guard ends[last &>> 6] & Self.mask(last) != 0 else { return false }
        let (low, high) = (first &>> 6, last &>> 6)
        // Of the first word from the first granule on, of the last one up to the last.
        let fromFirst = ~0 &<< UInt64(truncatingIfNeeded: first & 63)
        let toLast = ~0 &>> UInt64(truncatingIfNeeded: 63 &- (last & 63))
        var count = 0
        var begins = Self.mask(first)
        for word in low...high {
            let mask = (word == low ? fromFirst : ~0) & (word == high ? toLast : ~0)
            let ending = ends[word] & mask
            // A block begins at the first granule, and behind each end: then nothing is between them.
            guard starts[word] & mask == (ending &<< 1 | begins) & mask else { return false }
            begins = ending &>> 63
            count &+= ending.nonzeroBitCount
        }
        guard count == blocks else { return false }
        for word in low...high {
            let mask = (word == low ? fromFirst : ~0) & (word == high ? toLast : ~0)
            starts[word] &= ~mask
            ends[word] &= ~mask
        }
        return true
    }
}
