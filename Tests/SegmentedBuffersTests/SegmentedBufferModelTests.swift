// Random operations on buffers, beside arrays with the same bytes: what is shared does not change, and all memory goes
// back once.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct SegmentedBufferModelTests {
    /// Some buffers, which share segments with each other, and what each should hold.
    struct Subject {
        var buffers: [SegmentedBuffer] = Array(repeating: SegmentedBuffer(), count: 4)
        var models: [[UInt8]] = Array(repeating: [], count: 4)
        let ledger: Ledger
        var random: SeededGenerator

        init(_ ledger: Ledger, seed: UInt64) {
            self.ledger = ledger
            random = SeededGenerator(seed: seed)
        }

        mutating func step() throws {
            let at = random.pick(4)
            let other = random.pick(4)
            let content = random.bytes(1 + random.pick(random.flip(10) ? 300 : 20))
            switch random.pick(21) {
            case 0, 1:
                buffers[at].push(try ledger.segment(content, kind: random.pick(Ledger.kinds)))
                models[at] += content
            case 2:
                buffers[at].prepend(try ledger.segment(content, kind: random.pick(Ledger.kinds)))
                models[at] = content + models[at]
            case 3, 4:
                content.withUnsafeBytes { buffers[at].append(copying: $0) }
                models[at] += content
            case 5:
                try content.withUnsafeBytes { try buffers[at].append(copying: $0, allocator: ledger.allocator) }
                models[at] += content
            case 6:
                content.withUnsafeBytes { buffers[at].prepend(copying: $0, capacity: 2 * $0.count) }
                models[at] = content + models[at]
            case 7:
                for byte in content {
                    buffers[at].append(byte)
                    models[at].append(byte)
                }
            case 8 where models[other].count < 400 && models[at].count < 2000:
                buffers[at].append(buffers[other])
                models[at] += models[other]
            case 9 where models[other].count < 400 && models[at].count < 2000:
                buffers[at].prepend(buffers[other])
                models[at] = models[other] + models[at]
            case 10:
                buffers[at] = buffers[other]
                models[at] = models[other]
            case 11:
                let range = random.range(in: models[other].count)
                buffers[at] = buffers[other][range]
                models[at] = Array(models[other][range])
            case 12:
                let count = random.pick(models[at].count + 1)
                let part = buffers[at].splitFirst(count)
                #expect(part == Array(models[at].prefix(count)))
                models[at].removeFirst(count)
            case 13:
                let count = random.pick(models[at].count + 1)
                var dropped = 0
                buffers[at].clipEnd(count) { dropped += $0.count }
                #expect(dropped <= count)
                models[at].removeLast(count)
            case 14:
                let count = random.pick(models[at].count + 1)
                let before = buffers[at].segmentCount
                var dropped: [Segment] = []
                buffers[at].clipFront(count) { segment in dropped.append(segment) }
                #expect(before - dropped.count == buffers[at].segmentCount)
                models[at].removeFirst(count)
            case 15 where !models[at].isEmpty:
                replaceSegment(at, content)
            case 16:
                let offset = random.pick(models[at].count + 1)
                let part = Array(content.prefix(models[at].count - offset))
                part.withUnsafeBytes { buffers[at].replaceBytes(at: offset, with: $0) }
                models[at].replaceSubrange(offset..<offset + part.count, with: part)
            case 17:
                let range = random.range(in: models[at].count)
                let new = try random.cut(content, ledger)
                buffers[at].replaceSubrange(range, with: new)
                models[at].replaceSubrange(range, with: content)
            case 18:
                let written = random.pick(content.count + 1)
                buffers[at].append(capacity: content.count) { room in
                    room.copyBytes(from: content)
                    return written
                }
                models[at] += content.prefix(written)
            case 19:
                buffers[at] =
                    random.flip(50)
                    ? buffers[at].contiguous()
                    : try buffers[at].contiguous(allocator: ledger.allocator)
                #expect(buffers[at].segmentCount <= 1)
            case 20 where random.flip(20):
                buffers[at].reset(keepingCapacity: random.flip(50))
                models[at] = []
            default: break
            }
        }

        mutating func replaceSegment(_ at: Int, _ content: [UInt8]) {
            let count = buffers[at].segmentCount
            let index = random.pick(count)
            let start = (0..<index).reduce(0) { $0 + buffers[at][segment: $1].count }
            let new = random.flip(20) ? [] : content
            let old = buffers[at].replaceSegment(
                random.flip(50) ? index : index - count, with: new.withUnsafeBytes { Segment(copying: $0) })
            models[at].replaceSubrange(start..<start + old.count, with: new)
        }

        mutating func check() {
            for at in buffers.indices {
                let buffer = buffers[at]
                let model = models[at]
                #expect(buffer.brokenInvariant() == nil)
                #expect(buffer.count == model.count)
                #expect(buffer == model)
            }
            let at = random.pick(4)
            let range = random.range(in: models[at].count)
            #expect(buffers[at].copyBytes(range) == Array(models[at][range]))
            if !range.isEmpty { #expect(buffers[at][range.lowerBound] == models[at][range.lowerBound]) }
            #expect((buffers[at] == buffers[0]) == (models[at] == models[0]))
            #expect(buffers[at].segments.reduce(0) { $0 + $1.count } == models[at].count)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func againstArrays(seed: UInt64) throws {
        let ledger = Ledger()
        var subject = Subject(ledger, seed: seed)
        for _ in 0..<1000 {
            try subject.step()
            subject.check()
        }
        for at in subject.buffers.indices { subject.buffers[at].reset() }
        #expect(ledger.isSettled)
        #expect(ledger.taken > 20)
    }

    /// An allocator that fails now and then: the buffer is as it was.
    @Test func failures() throws {
        let ledger = Ledger()
        var random = SeededGenerator(seed: 7)
        var buffer = SegmentedBuffer()
        var model: [UInt8] = []
        var failures = 0
        for _ in 0..<400 {
            let content = random.bytes(1 + random.pick(40))
            if random.flip(40) { ledger.allocator.plan = .request(ledger.allocator.requestCount + 1) }
            do throws(AllocationError) {
                try append(content, &buffer, ledger.allocator)
                model += content
            } catch {
                failures += 1
            }
            if random.flip(10), buffer.segmentCount > 1 {
                ledger.allocator.plan = .request(ledger.allocator.requestCount + 1)
                #expect(throws: AllocationError.self) { try buffer.contiguous(allocator: ledger.allocator) }
            }
            ledger.allocator.plan = .never
            #expect(buffer.brokenInvariant() == nil)
            #expect(buffer == model)
            if model.count > 500 {
                buffer.removeFirst(450)
                model.removeFirst(450)
            }
        }
        #expect(failures > 20)
        buffer.reset()
        #expect(ledger.isSettled)
    }

    private func append(
        _ content: [UInt8], _ buffer: inout SegmentedBuffer, _ allocator: any Allocator
    ) throws(AllocationError) {
        let kept = Segment(sharing: content)
        try buffer.append(copying: kept.unsafeBytes, allocator: allocator)
        withExtendedLifetime(kept) {}
    }
}
