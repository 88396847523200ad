// A child: what the allocator took from its source at once, and how it is found from an address.
//
//     memory of the child   | granules that blocks can have … | one that is never free | a rest below a granule |
//                           base                              end
//     its record            | this struct | starts | ends |     in one piece of memory from malloc
//
// Children are in a treap: a search tree by base whose priorities, a hash of the base, are in heap order. Its depth is
// O(log n) on average. Cost: O(log n) to find, insert and remove. Thread-safety: none.

import AllocatorCore
import CMallowShims

@usableFromInline typealias Child = UnsafeMutablePointer<ChildRecord>

@frozen @usableFromInline
struct ChildRecord {
    @usableFromInline let base: UInt
    let end: UInt
    @usableFromInline let bits: BlockBits
    /// Granules of live blocks.
    @usableFromInline var used = 0
    /// No block ends after so many granules.
    var high = 0
    /// A request of its own made it, because it is too large for a child or nothing is recycled.
    let isAlone: Bool
    /// Its bits are not written yet: the first `used` granules are one block, and there is no other. See `writeBits`.
    var isBare: Bool
    /// On the list of empty children.
    @usableFromInline var isListed = false
    var previousEmpty: Child?
    var nextEmpty: Child?
    /// What the source gave.
    let heldByteCount: Int
    let recordByteCount: Int
    fileprivate(set) var left: Child?
    fileprivate(set) var right: Child?
    let priority: UInt

    /// Bytes of it that no block can have.
    var unusableByteCount: Int { heldByteCount - Int(bitPattern: end &- base) }

    var granules: Int { Int(bitPattern: end &- base) &>> 4 }

    /// Heap order by a number that has nothing to do with the order of bases.
    static func priority(_ base: UInt) -> UInt {
        let product = (base &>> 4) &* 0x9E37_79B9_7F4A_7C15
        return (product ^ (product &>> 29)) &* 0xBF58_476D_1CE4_E5B9
    }

    /// A record for a block that the source gave, or nil where malloc has no memory.
    static func make(_ block: UnsafeMutableRawBufferPointer, isAlone: Bool, guardByteCount: Int) -> Child? {
        let base = UInt(bitPattern: block.baseAddress)
        let end = ((base &+ UInt(bitPattern: block.count)) & ~15) &- UInt(bitPattern: guardByteCount)
        let granules = Int(bitPattern: end &- base) &>> 4
        let words = BlockBits.wordCount(granules)
        let bitsOffset = MemoryLayout<ChildRecord>.stride
        let byteCount = bitsOffset + 8 * (2 * words + BlockBits.spareWords)
        // Most children alone are freed as a whole, and their bits never written.
        guard let memory = isAlone ? malloc(byteCount) : calloc(1, byteCount) else { return nil }
        let child = memory.bindMemory(to: ChildRecord.self, capacity: 1)
        child.initialize(
            to: ChildRecord(
                base: base, end: end,
                bits: BlockBits(
                    words: (memory + bitsOffset).bindMemory(to: UInt64.self, capacity: 2 * words), granules: granules),
                isAlone: isAlone, isBare: isAlone, heldByteCount: block.count, recordByteCount: byteCount,
                priority: priority(base)))
        return child
    }
}

extension Child {
    /// Writes the bits of a child that has none.
    @inline(never)
    func writeBits() {
        pointee.bits.clear(granules: pointee.granules)
        if pointee.used > 0 { pointee.bits.insert(0, pointee.used &- 1) }
        pointee.isBare = false
    }

    /// Frees the record.
    func free() { CMallowShims.free(self) }
}

/// The children, by address.
struct ChildTree {
    private(set) var root: Child?
    private(set) var count = 0

    /// The child that has the address, or nil.
    func find(_ address: UInt) -> Child? {
        var child = root
        while let here = child {
            if address < here.pointee.base {
                child = here.pointee.left
            } else if address >= here.pointee.end {
                child = here.pointee.right
            } else {
                return here
            }
        }
        return nil
    }

    mutating func insert(_ new: Child) {
        Self.insert(new, into: &root)
        count += 1
    }

    mutating func remove(_ old: Child) {
        Self.remove(old, from: &root)
        count -= 1
    }

    /// Every child, in order of addresses. The closure may free the record that it is given.
    func visit(_ body: (Child) -> Void) { Self.visit(root, body) }

    // MARK: - Privates

    private static func insert(_ new: Child, into link: inout Child?) {
        guard let here = link, here.pointee.priority >= new.pointee.priority else {
            (new.pointee.left, new.pointee.right) = split(link, at: new.pointee.base)
            link = new
            return
        }
        if new.pointee.base < here.pointee.base {
            insert(new, into: &here.pointee.left)
        } else {
            insert(new, into: &here.pointee.right)
        }
    }

    private static func split(_ tree: Child?, at base: UInt) -> (below: Child?, above: Child?) {
        guard let tree else { return (nil, nil) }
        if tree.pointee.base < base {
            let (below, above) = split(tree.pointee.right, at: base)
            tree.pointee.right = below
            return (tree, above)
        }
        let (below, above) = split(tree.pointee.left, at: base)
        tree.pointee.left = above
        return (below, tree)
    }

    private static func remove(_ old: Child, from link: inout Child?) {
        guard let here = link else { fatalError("ScalableAllocator: a child is not among the children") }
        if here == old {
            link = merge(here.pointee.left, here.pointee.right)
        } else if old.pointee.base < here.pointee.base {
            remove(old, from: &here.pointee.left)
        } else {
            remove(old, from: &here.pointee.right)
        }
    }

    private static func merge(_ below: Child?, _ above: Child?) -> Child? {
        guard let below else { return above }
        guard let above else { return below }
        if below.pointee.priority >= above.pointee.priority {
            below.pointee.right = merge(below.pointee.right, above)
            return below
        }
        above.pointee.left = merge(below, above.pointee.left)
        return above
    }

    private static func visit(_ tree: Child?, _ body: (Child) -> Void) {
        guard let tree else { return }
        let right = tree.pointee.right
        visit(tree.pointee.left, body)
        body(tree)
        visit(right, body)
    }

    /// What is wrong with the tree, or nil. O(n).
    func brokenInvariant() -> String? {
        var broken: String?
        var last: Child?
        var seen = 0
        visit { child in
            if let last, last.pointee.end >= child.pointee.base {
                broken = "two children overlap or touch at \(child.pointee.base)"
            }
            for below in [child.pointee.left, child.pointee.right].compactMap(\.self)
            where below.pointee.priority > child.pointee.priority {
                broken = "a child has a larger priority than its parent"
            }
            last = child
            seen += 1
        }
        return broken ?? (seen == count ? nil : "\(seen) children in the tree, \(count) counted")
    }
}
