// Values on their way to a socket, without a copy: a `ByteBuffer` whose memory is a part of an item's.
//
// NIO lets a buffer take memory over together with the allocator that frees it, whose functions are pointers to C
// functions without a context; so what they reach is global. The buffer holds a reference to the chunk. When the
// channel has written it, or the connection is gone, the last copy of the buffer lets the reference go.

import CacheStore
@_spi(CustomByteBufferAllocator) import NIOCore

enum SharedValues {
    /// Set before the first connection is accepted, and never after.
    nonisolated(unsafe) static var store: CacheStore!

    private static let allocator = ByteBufferAllocator(
        allocate: { malloc($0) },
        // Nobody writes to such a buffer. Were it done, NIO would want memory of another size.
        reallocate: { pointer, oldByteCount, byteCount in
            guard let memory = malloc(byteCount), let pointer else { return nil }
            memcpy(memory, pointer, min(oldByteCount, byteCount))
            if !store.releaseShared(pointer) { free(pointer) }
            return memory
        },
        deallocate: { if !store.releaseShared($0) { free($0) } },
        copy: { memcpy($0, $1, $2) })

    /// A buffer that owns a reference to a part of a value, which the caller added.
    static func buffer(_ part: UnsafeMutableRawBufferPointer) -> ByteBuffer {
        ByteBuffer(takingOwnershipOf: part, allocator: allocator)
    }
}
