// What the tests of buffers share: memory of every kind, whose return is counted, and the same bytes cut anew.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

/// Demands that a process, which was to end by a trap, said so.
func expectTrap(
    _ result: ExitTest.Result?, _ message: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains(message), "\(text)", sourceLocation: sourceLocation)
}

/// Keeps some bytes, and counts its end.
final class ByteOwner {
    let bytes: UnsafeMutableRawBufferPointer
    let ledger: Ledger

    init(_ content: [UInt8], _ ledger: Ledger) {
        bytes = .allocate(byteCount: content.count, alignment: 1)
        bytes.copyBytes(from: content)
        self.ledger = ledger
        ledger.taken += 1
    }

    deinit {
        // Whoever reads them now sees it.
        bytes.initializeMemory(as: UInt8.self, repeating: 0xdd)
        bytes.deallocate()
        ledger.returned += 1
    }
}

/// Counts memory that segments take over, and that they give back.
final class Ledger {
    var taken = 0
    var returned = 0
    /// What nobody gives back, until the test ends.
    var unowned: [UnsafeMutableRawBufferPointer] = []
    let allocator = FailingAllocator(plan: .never)

    deinit { for bytes in unowned { bytes.deallocate() } }

    /// Bytes that are in the same place until the test ends.
    func keep(_ content: [UInt8]) -> UnsafeMutableRawBufferPointer {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 1)
        bytes.copyBytes(from: content)
        unowned.append(bytes)
        return bytes
    }

    /// A segment of one of the seven kinds.
    func segment(_ content: [UInt8], kind: Int) throws -> Segment {
        switch kind {
        case 0: return content.withUnsafeBytes { Segment(copying: $0, capacity: content.count + 5) }
        case 1: return try content.withUnsafeBytes { bytes in try Segment(copying: bytes, allocator: allocator) }
        case 2:
            let block = try allocator.allocate(byteCount: content.count + 7, alignment: 1)
            block.copyBytes(from: content)
            return Segment(adopting: block, count: content.count, allocator: allocator)
        case 3:
            let owner = ByteOwner(content, self)
            return Segment(UnsafeRawBufferPointer(owner.bytes), ownedBy: owner)
        case 4:
            let owner = ByteOwner(content, self)
            let kept = Unmanaged.passRetained(owner)
            return Segment(owner.bytes) { bytes in
                #expect(bytes.count == content.count)
                kept.release()
            }
        case 5: return Segment(unowned: UnsafeRawBufferPointer(keep(content)))
        default: return Segment(sharing: content)
        }
    }

    static let kinds = 7

    /// Whether all memory that was taken over is back.
    var isSettled: Bool { taken == returned && allocator.findLeaks() == nil }
}

extension SeededGenerator {
    mutating func pick(_ limit: Int) -> Int { Int(next() % UInt64(max(limit, 1))) }

    /// True in so many of a hundred cases.
    mutating func flip(_ percent: Int) -> Bool { pick(100) < percent }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// A range within a count, empty at times.
    mutating func range(in count: Int) -> Range<Int> {
        let start = pick(count + 1)
        return start..<start + pick(count - start + 1)
    }

    /// The same bytes in segments of random sizes and kinds.
    mutating func cut(_ content: [UInt8], _ ledger: Ledger, largest: Int = 9) throws -> SegmentedBuffer {
        var buffer = SegmentedBuffer()
        var rest = content[...]
        while !rest.isEmpty {
            let size = min(1 + pick(largest), rest.count)
            buffer.push(try ledger.segment(Array(rest.prefix(size)), kind: pick(Ledger.kinds)))
            rest = rest.dropFirst(size)
        }
        return buffer
    }
}

/// The bytes of a buffer of segments.
func contents(_ buffer: SegmentedBuffer) -> [UInt8] { buffer.segments.flatMap { Array($0.unsafeBytes) } }

extension RecyclableMemory {
    /// Adds a buffer of these bytes.
    mutating func add(_ bytes: UInt8...) throws { try append(copying: bytes.span.bytes) }
}
