/// What a ``BuddyAllocator`` or a ``BuddyPool`` refuses. Nothing has changed then.
public enum BuddyError: Error, Hashable, Codable, Sendable {
    /// The smallest block's size is no power of two.
    case smallestBlockIsNoPowerOfTwo(Int)
    /// The space has room for no smallest block, is above 2^62, has more than 2^36 of them, or is below the one it
    /// shall grow from.
    case unusableSize(Int, smallestBlock: Int)
    /// No free block is that large now. For a pool: in no buddy, and there are as many buddies as there may be.
    case noRoom(count: Int)
    /// No block of the space is that large, nor can be until it grows. For a pool: of no buddy.
    case tooLarge(count: Int, largestBlock: Int)
    /// No block starts at the offset, since it is outside of the space.
    case outside(offset: Int, size: Int)
    /// The offset is inside of a block in use.
    case insideOfBlock(offset: Int, block: Range<Int>)
    /// The offset is in a free block: it was freed before, or never allocated.
    case isFree(offset: Int, block: Range<Int>)
    /// A block in use starts there, of another size.
    case wrongSize(Range<Int>, block: Range<Int>)
    /// No block can have this range: its count is not the smallest block's times a power of two, or the offset is no
    /// multiple of the count.
    case notABlock(Range<Int>)
    /// The range shall be allocated, and a part of it is in use.
    case isInUse(Range<Int>)
    /// The pool has no buddy of this number that has blocks in use.
    case unknownBuddy(Int)
    /// The buddy was not taken from this pool, or has been given back.
    case notTaken
    /// As many buddies as there may be are in use.
    case noBuddy(limit: Int)
}

extension BuddyError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .smallestBlockIsNoPowerOfTwo(let count): "a smallest block of \(count) is no power of two"
        case .unusableSize(let size, let smallestBlock):
            "a space of \(size) can't be served in blocks of \(smallestBlock) and more"
        case .noRoom(let count): "no free block has room for \(count)"
        case .tooLarge(let count, let largestBlock): "\(count) is more than the largest block has, \(largestBlock)"
        case .outside(let offset, let size): "offset \(offset) is outside of the space of \(size)"
        case .insideOfBlock(let offset, let block): "offset \(offset) is inside of block \(block)"
        case .isFree(let offset, let block): "offset \(offset) is in block \(block), which is free"
        case .wrongSize(let range, let block): "\(range) is not the block \(block) that starts there"
        case .notABlock(let range): "no block can be at \(range)"
        case .isInUse(let range): "a part of \(range) is in use"
        case .unknownBuddy(let number): "buddy \(number) has no blocks in use"
        case .notTaken: "the buddy was not taken from this pool, or has been given back"
        case .noBuddy(let limit): "all \(limit) buddies are in use"
        }
    }
}
