// Which segments' memory ByteBuffers have, by address: a ByteBuffer gives memory back by C functions that get an
// address and nothing else.
//
// T1. A ByteBuffer that shares a segment is counted in the table, under the address of its first byte.
// T2. All that are counted under one address share one memory, which the segment there keeps until the count is 0. Who
//     goes is known by the address alone: of two memories, the wrong one might go.
// T3. What is not in the table is malloc's: ByteBuffers that grew out of such a one.
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
        /// T2. A segment is not `Sendable`; here it is only kept and dropped, which is its owner's promise.
        private struct Entry: @unchecked Sendable {
            let segment: Segment
            var byteBufferCount = 1
        }

        private static let entries = Mutex<[UInt: Entry]>([:])

        /// T1: counts a byte buffer. Where the bytes at this address are shared as another memory's, it does not, and
        /// says false.
        static func enter(_ segment: Segment, at address: UInt) -> Bool {
            let entry = Entry(segment: segment)
            return entries.withLock { table in
                guard let place = table.index(forKey: address) else {
                    table[address] = entry
                    return true
                }
                guard table.values[place].segment.sharesMemory(with: entry.segment) else { return false }
                table.values[place].byteBufferCount += 1
                return true
            }
        }

        /// T1: a byte buffer less. Whether there was one.
        static func leave(_ address: UInt) -> Bool {
            // Dropped outside of the lock, since that may call anything.
            let last: (wasThere: Bool, dropped: Entry?) = entries.withLock { table in
                guard let place = table.index(forKey: address) else { return (false, nil) }
                table.values[place].byteBufferCount -= 1
                return (true, table.values[place].byteBufferCount == 0 ? table.remove(at: place).value : nil)
            }
            return last.wasThere
        }

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
