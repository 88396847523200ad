// zlib with the hooks of whoever calls: a stream for each piece, as a server has one for each answer.

import CZlib
import Mallow

/// Where a stream's memory comes from: zlib's `zalloc`, `zfree` and `opaque`.
struct Hooks {
    var context: UnsafeMutableRawPointer
    var allocate: alloc_func
    var free: free_func

    /// An allocator's blocks: the whole adapter.
    init(_ allocator: CAllocator) {
        context = allocator.context
        allocate = { context, count, size in CAllocator.malloc(context, Int(count) * Int(size)) }
        free = { context, block in CAllocator.free(context, block) }
    }

    init(context: UnsafeMutableRawPointer, allocate: @escaping alloc_func, free: @escaping free_func) {
        self.context = context
        self.allocate = allocate
        self.free = free
    }

    func stream(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) -> z_stream {
        var stream = z_stream()
        stream.opaque = context
        stream.zalloc = allocate
        stream.zfree = free
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.avail_out = UInt32(output.count)
        return stream
    }

    /// Compresses a piece, and returns how many bytes that took.
    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        var stream = stream(input, output)
        let size = Int32(MemoryLayout<z_stream>.size)
        guard deflateInit_(&stream, Z_DEFAULT_COMPRESSION, zlibVersion(), size) == Z_OK else { return nil }
        let status = deflate(&stream, Z_FINISH)
        guard deflateEnd(&stream) == Z_OK, status == Z_STREAM_END else { return nil }
        return Int(stream.total_out)
    }

    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        var stream = stream(input, output)
        let size = Int32(MemoryLayout<z_stream>.size)
        guard inflateInit_(&stream, zlibVersion(), size) == Z_OK else { return nil }
        var status = Z_OK
        // By parts, as from a network, so that zlib keeps its window.
        while status == Z_OK, stream.total_out < output.count {
            stream.avail_out = UInt32(min(16384, output.count - Int(stream.total_out)))
            status = inflate(&stream, Z_NO_FLUSH)
        }
        guard inflateEnd(&stream) == Z_OK, status == Z_OK || status == Z_STREAM_END else { return nil }
        return Int(stream.total_out)
    }
}
