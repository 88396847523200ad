// The relay on [UInt8]: each read makes an array, of which the queues have slices. What was read only to a small part
// is copied to an array of its size, as an array can't give back its rest.

import TransportStream

extension ArraySlice<UInt8>: BytePart {
    public var partCount: Int { count }

    public func byte(at offset: Int) -> UInt8 { self[startIndex &+ offset] }

    public func bigEndian32(at offset: Int) -> UInt32 {
        withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    }

    public func distance(to byte: UInt8, from offset: Int) -> Int? {
        self[(startIndex + offset)...].firstIndex(of: byte).map { $0 - startIndex - offset }
    }

    public func part(_ range: Range<Int>) -> ArraySlice<UInt8> {
        self[startIndex + range.lowerBound..<startIndex + range.upperBound]
    }

    // Arrays of Swift's own have their elements in one place, which no copy moves.
    public var stableBytes: UnsafeRawBufferPointer { withUnsafeBytes { $0 } }
}

/// Memory as arrays.
public final class ArrayMemory: StreamMemory {
    public init() {}

    public func read(
        from descriptor: Int32, upTo count: Int, into bytes: inout PartQueue<ArraySlice<UInt8>>
    ) -> ReadOutcome {
        var outcome = ReadOutcome.end
        let array = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            outcome = readOnce(descriptor, buffer.baseAddress, count, &initialized)
        }
        guard case .bytes(let byteCount) = outcome else { return outcome }
        bytes.append(
            byteCount * 2 < count
                ? [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initialized in
                    _ = buffer.initialize(from: array)
                    initialized = byteCount
                }[...] : array[...])
        return outcome
    }

    public func copy(_ bytes: [UInt8]) -> PartQueue<ArraySlice<UInt8>> {
        var queue = PartQueue<ArraySlice<UInt8>>()
        queue.append(bytes[...])
        return queue
    }

    public var liveByteCount: Int? { nil }
    public var heldByteCount: Int? { nil }
    public func close() -> Bool { false }
}
