// Segments to and from ByteBuffers.

import AllocatorTestKit
import Mallow
import MallowNIO
import NIOCore

/// Keeps a segment.
final class Keeper {
    let segment: Segment
    init(_ segment: Segment) { self.segment = segment }
}

extension Adapters {
    static func checkByteBuffers() {
        // From a ByteBuffer: the same place, which a later write does not change.
        var bytes = ByteBuffer(bytes: pattern(100))
        bytes.moveReaderIndex(forwardBy: 10)
        let place = bytes.withUnsafeReadableBytes { $0.baseAddress }
        var buffer = SegmentedBuffer(bytes)
        check(buffer[segment: 0].unsafeBytes.baseAddress == place, "a ByteBuffer was copied")
        bytes.setInteger(UInt8(0xff), at: 10)
        bytes.writeBytes(pattern(1000))
        check(buffer == Array(pattern(100)[10...]), "a segment changed with the ByteBuffer")
        bytes = ByteBuffer()
        buffer.push(ByteBuffer(bytes: [1, 2]))
        buffer.push(ByteBuffer())
        check(buffer == Array(pattern(100)[10...]) + [1, 2] && buffer.segmentCount == 2, "what was pushed")
        buffer.append(copying: [3])
        check(buffer == Array(pattern(100)[10...]) + [1, 2, 3], "what was appended")
        check(ByteBuffer(copying: buffer) == ByteBuffer(bytes: [UInt8](buffer)), "a copy")

        // To ByteBuffers, two of one segment and one of a part of it: each keeps it.
        var segment: Segment? = counted(pattern(200))
        let start = segment!.unsafeBytes.baseAddress
        var shared: [ByteBuffer] = (0..<2).map { _ in ByteBuffer(unsafelySharing: segment!) }
        shared.append(ByteBuffer(unsafelySharing: segment![50..<60]))
        segment = nil
        check(shared[0].withUnsafeReadableBytes { $0.baseAddress } == start, "a segment was copied")
        check(Witness.alive == 1, "shared memory went too early")
        check(shared[1].readableBytesView.elementsEqual(pattern(200)), "the bytes")
        let slice = shared[1].getSlice(at: 3, length: 4)
        shared.remove(at: 1)
        shared.remove(at: 0)
        check(slice.map { Array($0.readableBytesView) } == Array(pattern(200)[3..<7]), "a slice")
        check(shared[0].readableBytesView.elementsEqual(pattern(200)[50..<60]), "a part")
        // It grows into memory of its own, and the segment goes.
        var growing = shared.removeLast()
        growing.writeBytes(pattern(3000))
        growing.writeBytes(pattern(30_000))
        check(Witness.alive == 1, "the slice's memory went")
        withExtendedLifetime(slice) {}
        check(
            growing.readableBytes == 33_010 && growing.getBytes(at: 0, length: 10) == Array(pattern(200)[50..<60]),
            "grown")
        check(ByteBuffer(unsafelySharing: Segment(sharing: [])).readableBytes == 0, "an empty segment")
    }

    /// What the plain initialisers make can be written, and what was shared as it was. The one that shares in place
    /// writes through, which is why it says so; a second owner makes it copy.
    static func checkWhatIsSharedStays() {
        let text = pattern(5000)
        let writes: [(inout ByteBuffer) -> Void] = [
            { bytes in
                bytes.clear()
                bytes.writeString("OVER")
            },
            { bytes in
                bytes.moveWriterIndex(to: 0)
                bytes.writeString("OVER")
            },
            { $0.setInteger(UInt64(0), at: 3) },
            { bytes in
                bytes.moveReaderIndex(to: 3000)
                bytes.discardReadBytes()
            },
            { $0.withUnsafeMutableReadableBytes { $0[7] = 0 } },
            { $0.writeBytes(pattern(9)) },
        ]
        for (index, write) in writes.enumerated() {
            var copy = ByteBuffer(copying: Segment(sharing: text))
            write(&copy)
            var second = ByteBuffer(copying: SegmentedBuffer(Segment(sharing: text)))
            write(&second)
            check(text == pattern(5000), "a copy that is written by \(index) changes an array")

            let bytes = ByteBuffer(bytes: text)
            var third = ByteBuffer(copying: Segment(bytes))
            write(&third)
            check(bytes == ByteBuffer(bytes: pattern(5000)), "a copy that is written by \(index) changes a ByteBuffer")

            // As the outbound handler does.
            var shared = ByteBuffer(unsafelySharing: Segment(sharing: text))
            let kept = shared
            write(&shared)
            check(text == pattern(5000), "writing by \(index) changes an array, beside a second owner")
            check(kept == ByteBuffer(bytes: pattern(5000)), "writing by \(index) changes a second owner")
        }
        var segment = Segment(copying: UnsafeRawBufferPointer(start: nil, count: 0), capacity: 5)
        check(ByteBuffer(copying: segment).readableBytes == 0, "a copy of nothing")
        segment = pattern(5).withUnsafeBytes { Segment(copying: $0) }
        var shared = ByteBuffer(unsafelySharing: segment)
        shared.setInteger(UInt8(99), at: 0)
        check(segment[0] == 99, "a byte buffer that shares is written somewhere else: its docstring is wrong")
    }

    /// Who goes first must not take what the other keeps.
    static func checkTwoMemoriesAtOneAddress() {
        for ownerIsFirst in [true, false] {
            var owner: Segment? = counted(pattern(100))
            let bytes = owner!.unsafeBytes
            let constant = Segment(unowned: bytes)
            var first: ByteBuffer? = ByteBuffer(unsafelySharing: ownerIsFirst ? owner! : constant)
            var second: ByteBuffer? = ByteBuffer(unsafelySharing: ownerIsFirst ? constant : owner!)
            owner = nil
            if ownerIsFirst { second = nil } else { first = nil }
            let left = ownerIsFirst ? first : second
            check(left?.readableBytesView.elementsEqual(pattern(100)) == true, "another memory's end took the bytes")
            first = nil
            second = nil
        }
        check(Witness.alive == 0, "\(Witness.alive) segments are still alive")

        // Of one memory any may go first, and the address is free for another afterwards.
        let segment = counted(pattern(100))
        var buffers = (0..<3).map { _ in ByteBuffer(unsafelySharing: segment) }
        check(Set(buffers.map { $0.withUnsafeReadableBytes { $0.baseAddress } }).count == 1, "a copy of shared memory")
        while buffers.count > 0 { buffers.remove(at: buffers.count / 2) }
        let other = ByteBuffer(unsafelySharing: Segment(unowned: segment.unsafeBytes))
        check(other.withUnsafeReadableBytes { $0.baseAddress } == segment.unsafeBytes.baseAddress, "a copy")
        // What came through a byte buffer is another memory at the same address.
        let again = ByteBuffer(unsafelySharing: Segment(other))
        check(again.readableBytesView.elementsEqual(pattern(100)), "a byte buffer of a segment of one")
    }

    /// Segments of the same bytes, their parts and byte buffers, made and dropped in any order: the bytes are there for
    /// as long as anything shares them.
    static func checkRandomSharing(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var segments: [(segment: Segment, content: [UInt8])] = []
        var buffers: [(buffer: ByteBuffer, content: [UInt8])] = []
        func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
        for step in 0..<1500 {
            switch below(10) {
            case 0:
                let content = pattern(1 + below(60), UInt8(below(256)))
                segments.append((counted(content), content))
            case 1:
                // The same bytes as another memory, which keeps the first.
                guard let (segment, content) = segments.randomElement(using: &random) else { continue }
                let other = Segment(segment.unsafeBytes, ownedBy: Keeper(segment))
                segments.append((other, content))
            case 2:
                guard let (segment, content) = segments.randomElement(using: &random) else { continue }
                let range = below(2) == 0 ? 0..<1 + below(content.count) : below(content.count)..<content.count
                segments.append((segment[range], Array(content[range])))
            case 3...5:
                guard let (segment, content) = segments.randomElement(using: &random) else { continue }
                buffers.append((ByteBuffer(unsafelySharing: segment), content))
            case 6:
                guard let (buffer, content) = buffers.randomElement(using: &random) else { continue }
                if below(2) == 0 {
                    segments.append((Segment(buffer), content))
                } else {
                    let from = below(content.count)
                    guard let slice = buffer.getSlice(at: from, length: content.count - from) else { continue }
                    buffers.append((slice, Array(content[from...])))
                }
            case 7:
                guard !buffers.isEmpty else { continue }
                let place = below(buffers.count)
                let more = pattern(below(30))
                buffers[place].buffer.writeBytes(more)
                buffers[place].content += more
            default:
                if below(2) == 0, !segments.isEmpty { segments.remove(at: below(segments.count)) }
                if !buffers.isEmpty { buffers.remove(at: below(buffers.count)) }
                if segments.count > 40 { segments.removeFirst(30) }
                if buffers.count > 40 { buffers.removeFirst(30) }
            }
            for (segment, content) in segments where !(SegmentedBuffer(segment) == content) {
                return check(false, "step \(step) of seed \(seed): a segment changed")
            }
            for (buffer, content) in buffers where buffer != ByteBuffer(bytes: content) {
                return check(false, "step \(step) of seed \(seed): a byte buffer changed")
            }
        }
        check(Witness.alive > 0, "the random steps share nothing")
    }

    /// `read(upTo:from:)` of what a channel brought.
    static func checkReads() throws {
        let quota = try QuotaAllocator(limit: 1 << 20)
        let allocator = try ScalableAllocator(initialSize: 1024, largestChild: 1024, source: .upstream(quota))
        var bytes = ByteBuffer(bytes: pattern(3000))
        var blocks: [UnsafeMutableRawBufferPointer] = []
        // As much as is asked for, then what there is, then nothing.
        for (limit, count) in [(1, 1), (99, 99), (2000, 2000), (5000, 900)] {
            let position = 3000 - bytes.readableBytes
            let used = allocator.statistics.liveBytes
            guard let block = try allocator.read(upTo: limit, from: &bytes) else {
                check(false, "nothing was read")
                continue
            }
            check(block.count == count && block.elementsEqual(pattern(3000)[position..<position + count]), "a read")
            check(bytes.readableBytes == 3000 - position - count, "the reader index")
            check(allocator.statistics.liveBytes - used == (count + 15) / 16 * 16, "the rest was not given back")
            blocks.append(block)
        }
        let before = allocator.statistics
        check(try allocator.read(upTo: 10, from: &bytes) == nil, "a read of nothing")
        check(allocator.statistics == before, "a read of nothing allocates")

        // Memory that is refused: nothing is taken of either.
        bytes.writeBytes(pattern(50_000))
        quota.limit = quota.liveBytes
        let failure = errorOf { _ = try allocator.read(upTo: 40_000, from: &bytes) } as? ScalableReadError
        if case .allocation = failure {} else { check(false, "a read without memory: \(String(describing: failure))") }
        check(bytes.readableBytes == 50_000 && allocator.statistics.liveBytes == before.liveBytes, "a read that failed")
        quota.limit = 1 << 20
        check(try allocator.read(upTo: 40_000, from: &bytes)?.count == 40_000, "a read after one that failed")
        // Every block is one, to be freed whole or in parts.
        if let all = errorOf({ try allocator.close() }) as? LeakError { check(all.blocks == 5, "\(all)") }
        allocator.deallocate(part: UnsafeMutableRawBufferPointer(rebasing: blocks[2][..<1600]))
        blocks[2] = UnsafeMutableRawBufferPointer(rebasing: blocks[2][1600...])
        check(blocks[2].elementsEqual(pattern(3000)[1700..<2100]), "what is left of a block that was read")
        for block in blocks { allocator.deallocate(block) }
        check((errorOf { try allocator.close() } as? LeakError)?.bytes == 40_000, "what is live")
        allocator.recycle()
        try allocator.close()
        check(quota.liveBytes == 0, "\(quota.liveBytes) bytes were not given back")
    }
}
