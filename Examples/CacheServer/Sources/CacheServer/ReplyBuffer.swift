// What a connection is about to answer: text and small values in memory of its own, and between them, at the offsets
// where they belong, the parts of large values, which stay where they are.
//
//     bytes:  VALUE a 0 102400\r\n | \r\nVALUE b 0 3\r\nabc\r\nEND\r\n
//                                  ^ parts: of a's value
//
// R1. The offsets rise; each part has a reference that is given back after it was written.

import CacheStore

struct ReplyBuffer: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var count = 0
    private var capacity = 512
    /// The shared parts, and before which byte each belongs.
    private(set) var parts: [UnsafeMutableRawBufferPointer] = []
    private var offsets: [Int] = []
    /// The bytes of the parts.
    private(set) var sharedByteCount = 0

    init() { base = .allocate(byteCount: 512, alignment: 16) }

    deinit { base.deallocate() }

    var isEmpty: Bool { count == 0 && parts.isEmpty }
    var byteCount: Int { count + sharedByteCount }

    /// Room for so many bytes more, of which `advance` says how many were written.
    @inline(__always)
    mutating func room(_ byteCount: Int) -> UnsafeMutableRawPointer {
        if capacity &- count < byteCount { grow(byteCount) }
        return base + count
    }

    @inline(__always)
    mutating func advance(to end: UnsafeMutableRawPointer) { count = end - base }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        let target = room(bytes.count)
        if let source = bytes.baseAddress { target.copyMemory(from: source, byteCount: bytes.count) }
        count += bytes.count
    }

    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a part of a value, which stays where it is.
    mutating func append(shared part: UnsafeMutableRawBufferPointer) {
        parts.append(part)
        offsets.append(count)
        sharedByteCount += part.count
    }

    mutating func removeAll() {
        count = 0
        sharedByteCount = 0
        if !parts.isEmpty {
            parts.removeAll(keepingCapacity: true)
            offsets.removeAll(keepingCapacity: true)
        }
        // A connection keeps what most answers need, not what its largest one did.
        if capacity > 64 << 10 {
            base.deallocate()
            base = .allocate(byteCount: 512, alignment: 16)
            capacity = 512
        }
    }

    @inline(never)
    private mutating func grow(_ byteCount: Int) {
        capacity = max(capacity * 2, count + byteCount)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        larger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = larger
    }

    /// Visits what is to be written from a byte on, in order.
    func visit(from start: Int, _ body: (_ bytes: UnsafeMutableRawBufferPointer, _ isShared: Bool) -> Void) {
        var (skipped, offset) = (start, 0)
        func visit(_ bytes: UnsafeMutableRawBufferPointer, _ isShared: Bool) {
            let dropped = min(skipped, bytes.count)
            skipped -= dropped
            if bytes.count > dropped { body(UnsafeMutableRawBufferPointer(rebasing: bytes[dropped...]), isShared) }
        }
        for index in parts.indices {
            visit(UnsafeMutableRawBufferPointer(start: base + offset, count: offsets[index] - offset), false)
            visit(parts[index], true)
            offset = offsets[index]
        }
        visit(UnsafeMutableRawBufferPointer(start: base + offset, count: count - offset), false)
    }

    /// The parts that lie before a byte as a whole.
    func parts(before end: Int) -> [UnsafeMutableRawBufferPointer] {
        var sharedByteCount = 0
        return zip(parts, offsets).filter { part, offset in
            sharedByteCount += part.count
            return offset + sharedByteCount <= end
        }.map { $0.0 }
    }
}
