// Reading what a channel brings into an allocator's memory, beside the reads from a descriptor and from a closure.
//
// A channel of SwiftNIO reads into ByteBuffers of its own and says how much came. So the block has that many bytes from
// the start, and there is no rest to give back.
//
// Cost: an allocation, and a copy of the bytes. Thread-safety: the allocator's.

#if NIO
    public import Mallow
    public import NIOCore

    extension PartFreeingAllocator {
        /// Allocates a block and moves bytes that a channel has read into it: those go from the front of the byte
        /// buffer.
        ///
        /// Use it where bytes must lie in this allocator's memory, to be cut and freed in parts; `Segment(_:)` of a
        /// `ByteBuffer` copies nothing.
        ///
        /// - Parameters:
        ///   - byteCount: the most to be read; at least 1, anything less traps.
        ///   - buffer: what came; its reader index moves behind what was read.
        /// - Returns: what was read: a block to be freed by its base address, whose `count` here is the bytes that came
        ///   (what it occupies is that, rounded up to 16). Nil where nothing is readable: then nothing is allocated.
        /// - Throws: `ScalableReadError.allocation`; then nothing is allocated, and the byte buffer is as it was.
        /// - Complexity: O(bytes), and the allocation.
        public func read(
            upTo byteCount: Int, from buffer: inout ByteBuffer
        ) throws(ScalableReadError) -> UnsafeMutableRawBufferPointer? {
            guard byteCount > 0 else { fatalError("PartFreeingAllocator: a read of up to \(byteCount) bytes") }
            let count = min(byteCount, buffer.readableBytes)
            guard count > 0 else { return nil }
            let block: UnsafeMutableRawBufferPointer
            do throws(AllocationError) {
                block = try UnsafeMutableRawBufferPointer(
                    rebasing: allocate(byteCount: count, alignment: 16)[..<count])
            } catch { throw .allocation(error) }
            buffer.readWithUnsafeReadableBytes { bytes in
                block.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                return count
            }
            return block
        }
    }
#endif
