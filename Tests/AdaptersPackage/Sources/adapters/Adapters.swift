// Uses the adapters as a user's program does: exits with 1, and a line for each thing that is wrong.

import Foundation
import Mallow
import MallowFoundation
import MallowNIO
import NIOCore
import NIOEmbedded

nonisolated(unsafe) var failures = 0

func check(_ isRight: Bool, _ what: String, line: Int = #line) {
    if isRight { return }
    failures += 1
    print("line \(line): \(what)")
}

/// Counts what is alive.
final class Witness {
    nonisolated(unsafe) static var alive = 0
    let bytes: UnsafeMutableRawBufferPointer

    init(_ content: [UInt8]) {
        bytes = .allocate(byteCount: content.count, alignment: 1)
        bytes.copyBytes(from: content)
        Self.alive += 1
    }

    deinit {
        // Who reads it now sees it.
        bytes.initializeMemory(as: UInt8.self, repeating: 0xdd)
        bytes.deallocate()
        Self.alive -= 1
    }
}

/// A segment whose memory counts itself.
func counted(_ content: [UInt8]) -> Segment {
    let witness = Witness(content)
    return Segment(UnsafeRawBufferPointer(witness.bytes), ownedBy: witness)
}

func pattern(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0) &* 7 &+ seed }
}

@main
struct Adapters {
    static func main() throws {
        checkByteBuffers()
        try checkHandlers()
        checkData()
        check(Witness.alive == 0, "\(Witness.alive) segments are still alive")
        print(failures == 0 ? "the adapters share and give back what they should" : "\(failures) failures")
        exit(failures == 0 ? 0 : 1)
    }

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
        var shared: [ByteBuffer] = (0..<2).map { _ in ByteBuffer(sharing: segment!) }
        shared.append(ByteBuffer(sharing: segment![50..<60]))
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
        check(ByteBuffer(sharing: Segment(sharing: [])).readableBytes == 0, "an empty segment")
    }

    static func checkHandlers() throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers([SegmentedInboundHandler(), SegmentedOutboundHandler()])
        try channel.writeInbound(ByteBuffer(bytes: pattern(10)))
        let read = try channel.readInbound(as: SegmentedBuffer.self)
        check(read == SegmentedBuffer(copying: pattern(10)), "what was read")

        var buffer = SegmentedBuffer()
        for size in [3, 2000, 5, 6, 4000, 1] { buffer.push(counted(pattern(size))) }
        let expected = [UInt8](buffer)
        // To two channels, as a forwarder does.
        let other = EmbeddedChannel()
        try other.pipeline.syncOperations.addHandler(SegmentedOutboundHandler(copyLimit: 1 << 20))
        let channels = [(channel, [3, 2000, 11, 4000, 1]), (other, [6015])]
        for (channel, _) in channels {
            let context = try channel.pipeline.syncOperations.context(handlerType: SegmentedOutboundHandler.self)
            let promise = channel.eventLoop.makePromise(of: Void.self)
            nonisolated(unsafe) var isDone = false
            promise.futureResult.whenSuccess { isDone = true }
            let handler = context.handler as! SegmentedOutboundHandler
            handler.write(context: context, data: NIOAny(buffer), promise: promise)
            check(!isDone, "a promise is fulfilled before the flush")
            context.flush()
            check(isDone, "a promise is not fulfilled")
        }
        buffer.reset()
        for (channel, sizes) in channels {
            var parts: [ByteBuffer] = []
            while let part = try channel.readOutbound(as: ByteBuffer.self) { parts.append(part) }
            check(parts.map(\.readableBytes) == sizes, "the parts: \(parts.map(\.readableBytes))")
            check(parts.flatMap { Array($0.readableBytesView) } == expected, "the bytes of the parts")
            _ = try channel.finish()
        }
    }

    static func checkData() {
        var data = Data(pattern(500))
        let place = data.withUnsafeBytes { $0.baseAddress }
        var buffer = SegmentedBuffer(data)
        check(buffer[segment: 0].unsafeBytes.baseAddress == place, "a Data was copied")
        data[0] = 99
        data.append(contentsOf: pattern(500))
        check(buffer == pattern(500), "a segment changed with the Data")
        data = Data()
        buffer.push(Data([1, 2, 3]))
        buffer.push(Data(pattern(200))[100...])
        check(buffer == pattern(500) + [1, 2, 3] + pattern(200)[100...], "what was pushed")
        check(Data(copying: buffer) == Data([UInt8](buffer)), "a copy")

        var segment: Segment? = counted(pattern(300))
        let start = segment!.unsafeBytes.baseAddress
        var shared: Data? = Data(sharing: segment!)
        segment = nil
        check(shared!.withUnsafeBytes { $0.baseAddress } == start, "a segment was copied")
        check(Witness.alive == 1 && shared! == Data(pattern(300)), "shared memory went too early")
        var grown = shared!
        grown.append(1)
        shared = nil
        check(Witness.alive == 0, "a Data that grew keeps the segment")
        check(grown.count == 301 && grown[299] == pattern(300)[299], "grown")
        // Foundation copies a few bytes, and gives them back at once.
        check(Data(sharing: counted([1, 2, 3])) == Data([1, 2, 3]), "a few bytes")
        check(Data(sharing: Segment(sharing: [])).isEmpty, "an empty segment")
    }
}
