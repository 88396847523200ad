// Which segments' memory ByteBuffers have, by address: a ByteBuffer gives memory back by C functions that get an address
// and nothing else.
//
// T1. A ByteBuffer that shares a segment has one owner of it in the table, under the address of its first byte.
// T2. What is not in the table is malloc's: ByteBuffers that grew out of such a one.
//
// Cost: a lock and a look-up in a dictionary. Thread-safe.

#if NIO
    import Mallow
    @_spi(CustomByteBufferAllocator) import NIOCore
    import Synchronization

    #if canImport(Glibc)
        import Glibc
    #elseif canImport(Musl)
        import Musl
    #else
        import Darwin
    #endif

    enum SegmentTable {
        /// The owners under one address: they keep the same bytes, so any of them may go first. A segment is not
        /// `Sendable`; here it is only kept and dropped, which is its owner's promise.
        private struct Owners: @unchecked Sendable {
            var segments: [Segment]
        }

        private static let owners = Mutex<[UInt: Owners]>([:])

        static func enter(_ segment: Segment, at address: UInt) {
            let entry = Owners(segments: [segment])
            owners.withLock { $0[address, default: Owners(segments: [])].segments += entry.segments }
        }

        /// T1: takes an owner out. Whether there was one.
        static func leave(_ address: UInt) -> Bool {
            // Dropped outside of the lock, since that may call anything.
            let dropped = owners.withLock { table -> Owners? in
                guard let place = table.index(forKey: address) else { return nil }
                let segment = table.values[place].segments.removeLast()
                if table.values[place].segments.isEmpty { table.remove(at: place) }
                return Owners(segments: [segment])
            }
            return dropped != nil
        }

        /// How many byte buffers share segments now.
        static var count: Int { owners.withLock { table in table.values.reduce(0) { $0 + $1.segments.count } } }

        static let allocator = ByteBufferAllocator(
            allocate: { malloc($0) },
            reallocate: { old, oldSize, newSize in
                guard let new = malloc(newSize) else { return nil }
                if let old {
                    memcpy(new, old, min(oldSize, newSize))
                    if !leave(UInt(bitPattern: old)) { free(old) }
                }
                return new
            },
            deallocate: { if !leave(UInt(bitPattern: $0)) { free($0) } },
            copy: { target, source, count in
                if let target = target as UnsafeMutableRawPointer?, let source = source as UnsafeRawPointer? {
                    memcpy(target, source, count)
                }
            })
    }
#endif
