// Buffers through pipes and sockets: bytes that are taken in parts, calls that fail or are interrupted at any time,
// more segments than one call takes.

import AllocatorTestKit
import Foundation
import Mallow
import SystemMemory
import Testing

@testable import SegmentedBuffers

/// The two ends of a pipe, or of a pair of sockets, closed at the end of a test.
final class Ends {
    let reading: Int32
    let writing: Int32

    init(sockets: Bool = false, waiting: Bool = true) {
        var ends: [Int32] = [-1, -1]
        #if os(Linux)
            let kind = Int32(SOCK_STREAM.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        let result = sockets ? socketpair(AF_UNIX, kind, 0, &ends) : pipe(&ends)
        precondition(result == 0)
        (reading, writing) = (ends[0], ends[1])
        if !waiting {
            for end in ends { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }
        }
    }

    deinit {
        close(reading)
        close(writing)
    }
}

@Suite struct SegmentedBufferDescriptorTests {
    /// All that comes, however much: no number of bytes is too large to be rounded up to segments.
    @Test func fillWithoutLimit() throws {
        let (input, output) = (Pipe(), Data([1, 2, 3]))
        input.fileHandleForWriting.write(output)
        try input.fileHandleForWriting.close()
        var buffer = SegmentedBuffer()
        let descriptor = input.fileHandleForReading.fileDescriptor
        #expect(try buffer.fillAll(from: descriptor, count: .max, segmentSize: 64) == 3)
        #expect(buffer == [1, 2, 3])
    }

    /// Writing in parts, as far as the other end has room, and reading in parts, against the bytes that went in.
    @Test(arguments: [false, true]) func partial(sockets: Bool) throws {
        let ledger = Ledger()
        var random = SeededGenerator(seed: sockets ? 1 : 2)
        let ends = Ends(sockets: sockets, waiting: false)
        let model = random.bytes(700_000)
        var outgoing = SegmentedBuffer()
        var rest = model[...]
        while !rest.isEmpty {
            let size = min(1 + random.pick(400), rest.count)
            outgoing.push(try ledger.segment(Array(rest.prefix(size)), kind: random.pick(Ledger.kinds)))
            rest = rest.dropFirst(size)
        }
        #expect(outgoing.segmentCount > 2048)
        var incoming = SegmentedBuffer()
        var (sent, stalls, recycled) = (0, 0, 0)
        while incoming.count < model.count {
            let progress = try outgoing.write(to: ends.writing) { _ in recycled += 1 }
            sent += progress.written
            #expect(outgoing.count == model.count - sent && progress.isComplete == outgoing.isEmpty)
            if !progress.isComplete { stalls += 1 }
            for _ in 0..<1 + random.pick(3) {
                let before = incoming.count
                let size = 16 + random.pick(9000)
                let filled = try incoming.fill(
                    from: ends.reading, atMost: 1 + random.pick(40_000), segmentSize: size,
                    allocator: ledger.allocator)
                if case .read(let count) = filled {
                    #expect(incoming.count == before + count)
                } else {
                    #expect(filled == .wouldBlock && incoming.count == before)
                }
            }
            #expect(incoming.brokenInvariant() == nil)
        }
        #expect(incoming == model && stalls > 1 && recycled > 2048)
        #expect(try incoming.fill(from: ends.reading, atMost: 10) == .wouldBlock)
        incoming.reset()
        outgoing.reset()
        #expect(ledger.isSettled)
    }

    /// The blocking calls wait for the other end.
    @Test(arguments: [false, true]) func waiting(nonblocking: Bool) throws {
        let ends = Ends(waiting: !nonblocking)
        let model = SeededGenerator.pattern(300_000)
        let writing = ends.writing
        let thread = Thread {
            var buffer = SegmentedBuffer(copying: model[..<100])
            for start in stride(from: 100, to: model.count, by: 5000) {
                buffer.push(Segment(sharing: Array(model[start..<min(start + 5000, model.count)])))
            }
            do { try buffer.writeAll(to: writing) } catch { Issue.record(error) }
        }
        thread.start()
        var buffer = SegmentedBuffer()
        #expect(try buffer.fillAll(from: ends.reading, count: model.count, segmentSize: 4096) == model.count)
        #expect(buffer == model)
    }

    @Test func endAndErrors() throws {
        var buffer = SegmentedBuffer(copying: [1, 2, 3])
        do {
            let ends = Ends()
            try buffer.writeAll(to: ends.writing)
            close(ends.writing)
            #expect(try buffer.fillAll(from: ends.reading, count: 10) == 3)
            #expect(try buffer.fill(from: ends.reading, atMost: 10) == .end)
            #expect(buffer == [1, 2, 3])
        }
        #expect(throws: DescriptorError.self) { try buffer.write(to: -1) }
        do throws(FillError) {
            _ = try buffer.fill(from: -1, atMost: 10)
            Issue.record("a descriptor that is not one")
        } catch {
            guard case .descriptor(let failure) = error else {
                Issue.record(error)
                return
            }
            #expect(failure.call == "readv" && failure.code == EBADF && !failure.isWouldBlock)
            #expect("\(error)" == "readv: Bad file descriptor (9)")
        }
        #expect(buffer == [1, 2, 3])
        // No memory: nothing is read.
        let ends = Ends()
        try buffer.writeAll(to: ends.writing)
        let failing = FailingAllocator(plan: .request(2))
        do throws(FillError) {
            _ = try buffer.fill(from: ends.reading, atMost: 100, segmentSize: 10, allocator: failing)
            Issue.record("memory that is not there")
        } catch {
            guard case .allocation = error else {
                Issue.record(error)
                return
            }
        }
        #expect(buffer.isEmpty && failing.findLeaks() == nil)
        failing.plan = .never
        #expect(try buffer.fill(from: ends.reading, atMost: 100, segmentSize: 10, allocator: failing) == .read(3))
        #expect(buffer == [1, 2, 3] && failing.statistics.liveBlocks == 1)
    }

    /// Each call fails at its n-th time, for every n: with an error, which reaches the caller; with EINTR, which does
    /// not; with EAGAIN, on which is waited. In a process of its own, for which a plan of failures holds.
    @Test func injected() async {
        await #expect(processExitsWith: .success) {
            let model = SeededGenerator.pattern(1_000)
            for code in [EIO, EINTR, EAGAIN] {
                for call in [Call.writeDescriptor, .readDescriptor, .waitForDescriptor] {
                    for nth in 1...8 { try attempt(call, code, nth, model) }
                }
            }
        }
    }
}

/// Sends bytes through a pipe, with a call that fails, again until all are through.
private func attempt(_ call: Call, _ code: Int32, _ nth: Int, _ model: [UInt8]) throws {
    let ends = Ends(waiting: false)
    var outgoing = SegmentedBuffer()
    // More than one call takes.
    for byte in model + model + model { outgoing.push([byte].withUnsafeBytes { Segment(copying: $0) }) }
    var incoming = SegmentedBuffer()
    FaultInjection.fail(nth: nth, of: [call], code: code == EIO ? nil : code)
    var errors = 0
    while incoming.count < 3 * model.count {
        do {
            _ = try outgoing.writeAll(to: ends.writing)
        } catch {
            #expect(error.code == EIO && (error.call == "writev" || error.call == "poll"))
            errors += 1
        }
        #expect(outgoing.brokenInvariant() == nil)
        // As long as something is on its way, so that waiting for it ends.
        let inPipe = 3 * model.count - outgoing.count - incoming.count
        do {
            try incoming.fillAll(from: ends.reading, count: min(inPipe, 400), segmentSize: 64)
        } catch {
            guard case .descriptor(let failure) = error else { throw error }
            #expect(failure.code == EIO && (failure.call == "readv" || failure.call == "poll"))
            errors += 1
        }
        #expect(incoming.brokenInvariant() == nil)
    }
    let (calls, failed) = FaultInjection.end()
    // Every failure was seen, and only EIO came through.
    #expect(failed == (calls >= nth ? 1 : 0))
    #expect(errors == (code == EIO ? failed : 0))
    if call != .waitForDescriptor, nth <= 3 { #expect(failed == 1) }
    #expect(incoming == model + model + model)
}

extension SeededGenerator {
    static func pattern(_ count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: 9)
        return random.bytes(count)
    }
}
