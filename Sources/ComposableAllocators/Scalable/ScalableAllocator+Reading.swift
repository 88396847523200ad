// Blocks that are filled as they are allocated, and are no larger than what came.

public import AllocatorCore
internal import CMallowShims
internal import SystemMemory

/// Why a read into a fresh block failed. Nothing is allocated then.
public enum ScalableReadError: Error, Equatable, Sendable {
    /// There was no memory for the block.
    case allocation(AllocationError)
    /// The operating system refused: the name of the call in C, and its errno. A descriptor that does not block and has
    /// nothing is refused with `EAGAIN`.
    case systemCall(String, errno: Int32)
}

extension ScalableReadError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .allocation(let error): "ScalableAllocator: a read found no memory: \(error)"
        case .systemCall(let name, let errno): "ScalableAllocator: \(name) failed with errno \(errno)"
        }
    }
}

extension ScalableAllocator {
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
            throw .systemCall(error.name, errno: error.code)
        }
        guard let count else {
            deallocate(block)
            throw .systemCall("readv", errno: EAGAIN)
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
            fatalError("ScalableAllocator: a read into \(block.count) bytes is said to have filled \(count)")
        }
        return keep(count, of: block)
    }

    /// A block that shows as many bytes as were asked for.
    private func readBlock(_ byteCount: Int) throws(ScalableReadError) -> UnsafeMutableRawBufferPointer {
        guard byteCount > 0 else { fatalError("ScalableAllocator: a read of up to \(byteCount) bytes") }
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
