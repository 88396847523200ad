// Words in front of a block, for allocators that must know something about it from its address alone.
//
//     base of upstream's block                    the pointer that is handed out
//     +-------------------------------+---------+---------+----------------------+
//     | room, for alignments above 8  | words … |  word   | the caller's bytes … |
//     +-------------------------------+---------+---------+----------------------+
//     <---------------- offset ----------------->
//
// The last word: check bits (10), the logarithm of the alignment (6), a size or what else the owner notes (48). The
// offset follows from the number of words and the alignment, so the base is found from the pointer.
//
// I1. The check bits of a live block follow from its address and its owner, and are never 0; a free clears the word. So
//     most pointers that were freed, or never were the owner's, are recognised; memory behind the prefix is never read.
//
// Cost: a multiplication and a comparison for the check; the offset is a constant where the alignment is.

import AllocatorCore
import Synchronization

@frozen @usableFromInline
struct BlockPrefix {
    @usableFromInline let word: UInt

    @inlinable @inline(__always)
    init(word: UInt) { self.word = word }

    @inlinable @inline(__always)
    static var wordByteCount: Int { 8 }

    /// What fits the word's last 48 bits.
    @inlinable @inline(__always)
    static var largestSize: Int { 1 << 48 - 1 }

    /// What upstream is asked to align to.
    @inlinable @inline(__always)
    static func upstreamAlignment(_ alignment: Int) -> Int { max(alignment, wordByteCount) }

    /// From upstream's block to the block that is handed out.
    @inlinable @inline(__always)
    static func offset(words: Int, alignment: Int) -> Int {
        let mask = upstreamAlignment(alignment) &- 1
        return (words &* wordByteCount &+ mask) & ~mask
    }

    /// What upstream is asked for, or nil where that does not fit an `Int`.
    @inlinable @inline(__always)
    static func upstreamByteCount(_ byteCount: Int, words: Int, alignment: Int) -> Int? {
        let (sum, overflow) = byteCount.addingReportingOverflow(offset(words: words, alignment: alignment))
        return overflow ? nil : sum
    }

    @inlinable @inline(__always)
    static func checkBits(_ pointer: UnsafeRawPointer, owner: UInt) -> UInt {
        // The lowest bit is always set, so that cleared memory never passes.
        ((UInt(bitPattern: pointer) ^ owner) &* 0x9E37_79B9_7F4A_7C15) &>> 54 | 1
    }

    @inlinable @inline(__always)
    static func lastWord(before pointer: UnsafeRawPointer) -> UnsafeMutablePointer<UInt> {
        UnsafeMutableRawPointer(mutating: pointer - wordByteCount).assumingMemoryBound(to: UInt.self)
    }

    /// Writes the last word. The alignment is the request's.
    @inlinable @inline(__always)
    static func write(before pointer: UnsafeRawPointer, owner: UInt, size: Int, alignment: Int) {
        let logarithm = UInt(bitPattern: upstreamAlignment(alignment).trailingZeroBitCount)
        lastWord(before: pointer).pointee =
            UInt(bitPattern: size) | logarithm &<< 48 | checkBits(pointer, owner: owner) &<< 54
    }

    @inlinable @inline(__always)
    static func clear(before pointer: UnsafeRawPointer) { lastWord(before: pointer).pointee = 0 }

    /// The prefix of a live block; ends the program where the pointer is none of the owner's. I1.
    @inlinable @inline(__always)
    static func read(before pointer: UnsafeRawPointer, owner: UInt, of allocator: StaticString) -> BlockPrefix {
        // A foreign pointer may be a multiple of anything.
        let word = (pointer - wordByteCount).loadUnaligned(as: UInt.self)
        if word &>> 54 != checkBits(pointer, owner: owner) { notLive(allocator, pointer, word) }
        return BlockPrefix(word: word)
    }

    @usableFromInline @inline(never)
    static func notLive(_ allocator: StaticString, _ pointer: UnsafeRawPointer, _ word: UInt) -> Never {
        if word == 0 { misuse(allocator, pointer, "is not live: it was freed already, or never allocated") }
        misuse(allocator, pointer, "is not of this allocator, or was freed already")
    }

    /// The number that was noted.
    @inlinable @inline(__always)
    var size: Int { Int(bitPattern: word) & BlockPrefix.largestSize }

    @inlinable @inline(__always)
    var alignment: Int { 1 &<< Int(bitPattern: word &>> 48 & 63) }

    /// Whether the alignment is 8 or less, so that there is no room before the words.
    @inlinable @inline(__always)
    var isNarrow: Bool { word &>> 48 & 63 == 3 }

    /// From the block that was handed out back to upstream's, negative. A branch for the common alignments, which takes
    /// the prefix out of the chain of what waits for what.
    @inlinable @inline(__always)
    func back(words: Int) -> Int {
        if isNarrow { return 0 &- words &* BlockPrefix.wordByteCount }
        return 0 &- BlockPrefix.offset(words: words, alignment: alignment)
    }

    @inlinable @inline(__always)
    func offset(words: Int) -> Int { 0 &- back(words: words) }
}

private let lastOwnerIdentity = Atomic<UInt>(0)

/// A number for an owner of prefixes, another for each. Threads that come at the same instant may get the same one,
/// which only makes a foreign pointer less likely to be found: so no locked instruction.
@usableFromInline @inline(never)
func nextOwnerIdentity() -> UInt {
    let next = lastOwnerIdentity.load(ordering: .relaxed) &+ 1
    lastOwnerIdentity.store(next, ordering: .relaxed)
    return next
}
