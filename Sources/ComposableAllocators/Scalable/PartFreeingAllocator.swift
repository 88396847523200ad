// The capability to free a part of a block, and what follows from it.

public import AllocatorCore
internal import CMallowShims
internal import SystemMemory

/// Can free a part of a live block: ``ScalableAllocator`` and ``SharedScalableAllocator``.
///
/// In the statistics a cut frees bytes and allocates nothing: `liveBlocks` rises by one where a block is left in front
/// *and* behind, and `totalBlocks` and `totalBytes` stay. So an allocator of which parts were freed may have more live
/// blocks, and a higher `peakBlocks`, than blocks that were ever allocated.
public protocol PartFreeingAllocator: Allocator {
    /// Frees a part of a block: its head, its tail, something in the middle, or all of it. What is left in front and
    /// behind are blocks, to be freed by their own addresses; the contents stay.
    ///
    /// Whole granules of 16 bytes are freed: those that lie in the part altogether. One that the part covers partly
    /// stays with the bytes in it that are not freed: with the block in front, or at the start of the block behind.
    ///
    /// - Parameter part: bytes of one live block. Anything else traps: memory that is free, and a part that reaches
    ///   beyond its block.
    /// - Returns: what was freed: the block behind it, if one is left, begins at its end. Empty where nothing was.
    @discardableResult
    func deallocate(part: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer

    /// Keeps the first bytes of a block and frees the rest.
    ///
    /// - Parameters:
    ///   - pointer: the base address of a live block.
    ///   - byteCount: how many bytes to keep; more than the block has traps. Rounded up to a multiple of 16, and at
    ///     least 16: a block stays, which wants to be freed.
    /// - Returns: the block that is left.
    @discardableResult
    func freeRest(of pointer: UnsafeMutableRawPointer, keeping byteCount: Int) -> UnsafeMutableRawBufferPointer
}

/// Why a read into a fresh block failed. Nothing is allocated then.
public enum ScalableReadError: Error, Equatable, Sendable {
    /// There was no memory for the block.
    case allocation(AllocationError)
    /// The operating system refused. A descriptor that does not wait and has nothing is refused, too: ``isWouldBlock``.
    case descriptor(DescriptorError)

    /// Whether nothing is wrong: the descriptor does not wait, and has no bytes now. O(1).
    public var isWouldBlock: Bool {
        if case .descriptor(let error) = self { error.isWouldBlock } else { false }
    }
}

extension ScalableReadError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .allocation(let error): "a read found no memory: \(error)"
        case .descriptor(let error): "\(error)"
        }
    }
}

extension PartFreeingAllocator {
    /// Allocates a block, fills it from a descriptor with one `readv`, and gives back what that left of it.
    ///
    /// - Parameters:
    ///   - byteCount: the most to be read; at least 1, anything less traps.
    ///   - descriptor: a file, a pipe, a socket.
    /// - Returns: what was read: a block to be freed by its base address, whose `count` here is the bytes that came
    ///   (what it occupies is that, rounded up to 16). Nil at the end of the input: then nothing is allocated.
    /// - Throws: ``ScalableReadError``; then nothing is allocated either.
    ///
    /// O(1) beside the call.
    public func read(
        upTo byteCount: Int, from descriptor: Int32
    ) throws(ScalableReadError) -> UnsafeMutableRawBufferPointer? {
        let block = try readBlock(byteCount)
        let count: Int?
        do throws(FailedCall) {
            let part = iovec(iov_base: block.baseAddress, iov_len: block.count)
            count = try withUnsafePointer(to: part) { part throws(FailedCall) in
                try SystemDescriptor(descriptor).read(into: UnsafeBufferPointer(start: part, count: 1))
            }
        } catch {
            deallocate(block)
            throw .descriptor(DescriptorError(call: error.name, code: error.code))
        }
        guard let count else {
            deallocate(block)
            throw .descriptor(DescriptorError(call: "readv", code: EAGAIN))
        }
        return keep(count, of: block)
    }

    /// Allocates a block, lets a closure fill it, and gives back what that left of it: for sources that are no
    /// descriptor. The closure may use the allocator.
    ///
    /// - Parameters:
    ///   - byteCount: the most to be read; at least 1, anything less traps.
    ///   - fill: writes the first bytes of what it is given and returns how many; more than there are traps.
    /// - Returns: what was read, as ``read(upTo:from:)`` returns it; nil where the closure returned 0.
    /// - Throws: ``ScalableReadError``, or what the closure throws; then nothing is allocated.
    public func read(
        upTo byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> UnsafeMutableRawBufferPointer? {
        let block = try readBlock(byteCount)
        let count: Int
        do { count = try fill(block) } catch {
            deallocate(block)
            throw error
        }
        guard count >= 0, count <= block.count else {
            fatalError("PartFreeingAllocator: a read into \(block.count) bytes is said to have filled \(count)")
        }
        return keep(count, of: block)
    }

    /// A block that shows as many bytes as were asked for.
    private func readBlock(_ byteCount: Int) throws(ScalableReadError) -> UnsafeMutableRawBufferPointer {
        guard byteCount > 0 else { fatalError("PartFreeingAllocator: a read of up to \(byteCount) bytes") }
        do throws(AllocationError) {
            let block = try allocate(byteCount: byteCount, alignment: 16)
            return UnsafeMutableRawBufferPointer(rebasing: block[..<byteCount])
        } catch { throw .allocation(error) }
    }

    private func keep(_ count: Int, of block: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        let base = block.baseAddress.unsafelyUnwrapped
        guard count > 0 else {
            deallocate(base)
            return nil
        }
        freeRest(of: base, keeping: count)
        return UnsafeMutableRawBufferPointer(start: base, count: count)
    }
}
