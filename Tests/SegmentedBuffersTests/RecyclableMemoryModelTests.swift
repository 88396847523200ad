// Recyclable memory under random calls, beside a model of whom each block belongs to.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

/// What a block is to the model: it lives while somebody refers to it, as the real one must.
private final class ModelBlock {
    let source: Int
    let expected: Expected

    init(_ source: Int, _ expected: Expected) {
        self.source = source
        self.expected = expected
        expected.live[source] += 1
    }

    deinit { expected.live[source] -= 1 }
}

private final class Expected {
    var live: [Int]
    init(_ sources: Int) { live = Array(repeating: 0, count: sources) }
}

private struct ModelBuffer {
    var bytes: [UInt8]
    /// nil: the bytes are only referred to.
    var block: ModelBlock?
    var isOwn: Bool
    var isKept = false
}

/// A sequence and what it should be.
private final class Subject {
    var memory: RecyclableMemory
    var model: [ModelBuffer] = []
    var source = 0
    var marks: [(RecyclableMemory.Mark, position: Int)] = []

    init(_ memory: consuming RecyclableMemory, _ source: Int) {
        self.memory = memory
        self.source = source
    }

    var isAsExpected: Bool {
        guard memory.brokenInvariant() == nil, memory.count == model.count,
            memory.byteCount == model.reduce(0, { $0 + $1.bytes.count })
        else { return false }
        for (index, buffer) in model.enumerated() {
            let ownership: RecyclableMemory.Ownership =
                buffer.isOwn ? .own : buffer.block == nil ? .foreign : .counted
            guard memory[index].elementsEqual(buffer.bytes), memory.isKept(at: index) == buffer.isKept,
                memory.ownership(at: index) == ownership
            else { return false }
        }
        return true
    }

    /// What recycling from a place leaves.
    func forget(from position: Int) {
        model[position...].removeAll { !$0.isKept }
        marks.removeAll { $0.position > position }
    }
}

/// Segments that somebody holds, with what they hold.
private struct Held {
    var buffer: SegmentedBuffer
    var bytes: [UInt8]
    var blocks: [ModelBlock]
}

@Suite struct RecyclableMemoryModelTests {
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func randomSequencesAreAsTheModelSays(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let sources = (0..<3).map { _ in CountingSource() }
        let expected = Expected(sources.count)
        let foreign = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 16)
        defer { foreign.deallocate() }
        for offset in 0..<256 { foreign[offset] = UInt8(offset) }
        var subjects = [Subject(RecyclableMemory(allocator: sources[0]), 0)]
        var held: [Held] = []
        var given: [(UnsafeMutableRawBufferPointer, ModelBlock)] = []

        func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

        func change(_ step: Int) throws {
            let subject = subjects[below(subjects.count)]
            let model = subject.model
            switch below(22) {
            case 0...7:
                let bytes = (0..<below(40)).map { _ in UInt8(below(256)) }
                if step % 2 == 0 {
                    try subject.memory.append(copying: bytes.span.bytes)
                } else {
                    let block = try sources[subject.source].allocate(byteCount: bytes.count, alignment: 8)
                    block.copyBytes(from: bytes)
                    subject.memory.adopt(block)
                }
                subject.model.append(
                    ModelBuffer(bytes: bytes, block: ModelBlock(subject.source, expected), isOwn: true))
            case 8:
                let part = UnsafeMutableRawBufferPointer(rebasing: foreign[below(100)..<100 + below(156)])
                subject.memory.push(unowned: UnsafeRawBufferPointer(part))
                subject.model.append(ModelBuffer(bytes: Array(part), block: nil, isOwn: false))
            case 9:
                subject.source = below(sources.count)
                subject.memory.allocator = sources[subject.source]
            case 10:
                subject.marks.append((subject.memory.mark(), model.count))
            case 11 where !subject.marks.isEmpty:
                // Marks behind a kept buffer that moves are not valid any more: see the model's forgetting.
                let (mark, position) = subject.marks[below(subject.marks.count)]
                subject.memory.recycle(from: mark)
                subject.forget(from: position)
            case 12:
                subject.memory.recycle()
                subject.forget(from: 0)
            case 13 where !model.isEmpty:
                let index = below(model.count)
                subject.model[index].isKept = below(3) != 0
                subject.memory.setKept(subject.model[index].isKept, at: index)
            case 14 where subjects.count < 5:
                let share = Subject(subject.memory.share(), subject.source)
                for index in model.indices { subject.model[index].isOwn = false }
                share.model = subject.model
                for index in model.indices { share.model[index].isKept = false }
                subjects.append(share)
            case 15 where subjects.count < 5:
                let copy = Subject(try subject.memory.copy(), subject.source)
                copy.model = model.map {
                    ModelBuffer(bytes: $0.bytes, block: ModelBlock(subject.source, expected), isOwn: true)
                }
                subjects.append(copy)
            case 16 where subjects.count > 1:
                subjects.remove(at: below(subjects.count))
            case 17 where held.count < 4:
                let taken = below(2) == 0
                let buffer = taken ? subject.memory.takeSegments() : subject.memory.shareSegments()
                held.append(
                    Held(
                        buffer: buffer, bytes: model.flatMap(\.bytes),
                        blocks: model.compactMap { $0.bytes.isEmpty ? nil : $0.block }))
                for index in model.indices where !model[index].bytes.isEmpty { subject.model[index].isOwn = false }
                if taken {
                    subject.model = []
                    subject.marks = subject.marks.filter { $0.position == 0 }
                }
            case 18 where !held.isEmpty:
                held.remove(at: below(held.count))
            case 19 where !held.isEmpty:
                let segments = held[below(held.count)].buffer.segments
                guard let segment = segments.randomElement(using: &random) else { break }
                let bytes = Array(segment.unsafeBytes)
                // The block whose memory it is; of bytes that are only referred to, none.
                guard let owner = owner(of: segment, subjects, held) else { break }
                subject.memory.push(segment)
                subject.model.append(ModelBuffer(bytes: bytes, block: owner, isOwn: false))
            case 20 where !model.isEmpty:
                let index = below(model.count)
                let count = below(model[index].bytes.count + 1)
                subject.memory.shorten(at: index, to: count)
                subject.model[index].bytes.removeSubrange(count...)
            case 21 where !model.isEmpty:
                let index = below(model.count)
                guard model[index].isOwn, let block = model[index].block, given.count < 8 else { break }
                given.append((subject.memory.relinquish(at: index), block))
                subject.model[index].isOwn = false
                subject.model[index].block = nil
            // The bytes stay until the block is freed, and it is not while the sequence refers to it.
            default: break
            }
        }

        for step in 0..<1200 {
            try change(step)
            let isAsExpected =
                subjects.allSatisfy(\.isAsExpected)
                && held.allSatisfy { contents($0.buffer) == $0.bytes && $0.buffer.count == $0.bytes.count }
            guard isAsExpected, sources.map(\.live.count) == expected.live else {
                Issue.record("step \(step), seed \(seed): \(sources.map(\.live.count)), not \(expected.live)")
                return
            }
        }
        subjects = []
        held = []
        for (buffer, block) in given { sources[block.source].deallocate(buffer) }
        given = []
        #expect(expected.live == [0, 0, 0] && sources.allSatisfy(\.live.isEmpty))
    }

    /// The model's block in whose real memory a segment lies.
    private func owner(of segment: Segment, _ subjects: [Subject], _ held: [Held]) -> ModelBlock? {
        for subject in subjects {
            for index in subject.model.indices
            where !subject.model[index].bytes.isEmpty && subject.memory[index].baseAddress == segment.start {
                if let block = subject.model[index].block { return block }
            }
        }
        for other in held {
            let segments = other.buffer.segments
            guard segments.count == other.blocks.count else { continue }
            for (index, one) in segments.enumerated() where one.start == segment.start { return other.blocks[index] }
        }
        return nil
    }
}
