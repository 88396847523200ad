// The relay on one [UInt8] for each queue: what is simplest to write. Reading takes one buffer for all connections;
// what goes to a queue is copied to its array, once for each subscriber.

import Glibc
import TransportStream

/// Bytes in one array, which are copied when they are put to others.
public struct CopiedBytes: StreamBytes {
    private var array: [UInt8] = []
    private var range = 0..<0

    public init() {}

    init(_ bytes: UnsafeRawBufferPointer) {
        array = Array(bytes)
        range = 0..<array.count
    }

    public var count: Int { range.count }
    public var partCount: Int { range.isEmpty ? 0 : 1 }

    public mutating func append(_ more: CopiedBytes) {
        array.removeSubrange(range.upperBound...)
        // What was given up goes when it is more than what is left: so moving costs O(1) a byte.
        if range.lowerBound > range.count {
            array.removeFirst(range.lowerBound)
            range = 0..<array.count
        }
        array += more.array[more.range]
        range = range.lowerBound..<array.count
    }

    public func slice(_ inside: Range<Int>) -> CopiedBytes {
        var slice = self
        slice.range = range.lowerBound + inside.lowerBound..<range.lowerBound + inside.upperBound
        return slice
    }

    public mutating func dropFirst(_ count: Int) {
        range = range.lowerBound + count..<range.upperBound
        if range.isEmpty { self = CopiedBytes() }
    }

    public mutating func keepFirst(_ count: Int) {
        let kept = array[range].prefix(count)
        self = kept.withUnsafeBytes { CopiedBytes($0) }
    }

    public func makeReader() -> PartReader<ArraySlice<UInt8>> {
        var parts = PartQueue<ArraySlice<UInt8>>()
        parts.append(array[range])
        return parts.makeReader()
    }

    public mutating func send(to descriptor: Int32) -> SendOutcome {
        while !range.isEmpty {
            let written = array[range].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN: return .full
                default: return .gone(errno)
                }
            }
            dropFirst(written)
        }
        return .all
    }

    public var contents: [UInt8] { Array(array[range]) }
}

/// Memory as an array for each queue.
public final class CopyingMemory: StreamMemory {
    private let buffer: UnsafeMutableRawBufferPointer

    public init(largestRead: Int) { buffer = .allocate(byteCount: largestRead, alignment: 16) }

    deinit { buffer.deallocate() }

    public func read(from descriptor: Int32, upTo count: Int, into bytes: inout CopiedBytes) -> ReadOutcome {
        var byteCount = 0
        let outcome = readOnce(descriptor, buffer.baseAddress, min(count, buffer.count), &byteCount)
        bytes.append(CopiedBytes(UnsafeRawBufferPointer(rebasing: buffer[..<byteCount])))
        return outcome
    }

    public func copy(_ bytes: [UInt8]) -> CopiedBytes { bytes.withUnsafeBytes { CopiedBytes($0) } }

    public var liveByteCount: Int? { nil }
    public var heldByteCount: Int? { nil }
    public func close() -> Bool { false }
}
