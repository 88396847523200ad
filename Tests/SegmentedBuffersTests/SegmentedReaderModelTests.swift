// Random calls over random segmentations of the same bytes: every reader gives what the model gives, and is where it
// is, after each call, whether it threw or not.

import AllocatorTestKit
import Mallow
import Testing

@Suite struct SegmentedReaderModelTests {
    @Test(arguments: 0..<24)
    func anySegmentationGivesTheSameAnswers(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let bytes = random.mixedBytes([0, 1, 7, 60, 500].randomElement(using: &random)!)
        var model = ModelReader(bytes: bytes)
        var readers = (0..<3).map { _ in SegmentedReader(segmented(bytes, sizes: random.sizes(bytes.count))) }
        for step in 0..<400 {
            var operation = ReadOperation.random(&random, count: bytes.count)
            if Int.random(in: 0..<4, using: &random) == 0 { operation = .peek(operation) }
            // Where all was read, most calls throw: begin again.
            if model.remaining == 0, step % 4 == 0 { operation = .seek(0) }
            let expected = model.outcome(of: operation)
            for index in readers.indices {
                let outcome = readers[index].outcome(of: operation)
                guard outcome == expected, isWhere(model, readers[index]) else {
                    Issue.record("seed \(seed), step \(step): \(operation): \(outcome), not \(expected)")
                    return
                }
            }
        }
    }

    /// A stream: bytes arrive while they are read, and what was read is clipped.
    @Test(arguments: 0..<12)
    func streamsGiveTheSameAnswers(seed: Int) {
        var random = SeededGenerator(seed: 1000 + UInt64(seed))
        let ledger = ReleaseLedger()
        var model = ModelReader(bytes: [])
        var own = SegmentedReader(SegmentedBuffer())
        var buffer = SegmentedBuffer()
        var shared = SegmentedReader(buffer)
        for step in 0..<500 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1:
                let fresh = random.mixedBytes(Int.random(in: 1...30, using: &random))
                model.bytes += fresh
                if Bool.random(using: &random) {
                    own.append(ledger.segment(fresh))
                } else {
                    fresh.withUnsafeBytes { own.append(copying: $0) }
                }
                buffer.push(ledger.segment(fresh))
                if model.bitsLeft == 0 {
                    #expect(throws: Never.self) { shared = try SegmentedReader(buffer, at: shared.position) }
                } else {
                    // Bits that are left are the reader's: only it can go on over the longer buffer.
                    #expect(own.clipFront() == model.position)
                    #expect(shared.clipFront(of: &buffer) == model.position)
                    model.clip()
                }
            case 2:
                let dropped = model.position
                model.clip()
                #expect(own.clipFront() == dropped)
                #expect(shared.clipFront(of: &buffer) == dropped)
                #expect(buffer.count == model.bytes.count)
                #expect(buffer.brokenInvariant() == nil)
            default:
                let operation = ReadOperation.random(&random, count: model.bytes.count)
                let expected = model.outcome(of: operation)
                #expect(own.outcome(of: operation) == expected, "seed \(seed), step \(step): \(operation)")
                #expect(shared.outcome(of: operation) == expected, "seed \(seed), step \(step): \(operation)")
            }
            guard isWhere(model, own), isWhere(model, shared) else {
                Issue.record("seed \(seed), step \(step): not where the model is")
                return
            }
        }
        #expect(ledger.doubled == 0)
        own = SegmentedReader(SegmentedBuffer())
        shared = own
        buffer = SegmentedBuffer()
        #expect(ledger.isSettled)
    }

    private func isWhere(_ model: ModelReader, _ reader: SegmentedReader) -> Bool {
        reader.position == model.position && reader.remaining == model.remaining && reader.count == model.bytes.count
            && reader.bitsLeftInByte == model.bitsLeft && reader.isAtEnd == (model.remaining == 0)
            && reader.remainingBits == 8 * model.remaining + model.bitsLeft
    }
}

/// Counts how often the memory of each segment is given back.
final class ReleaseLedger {
    private var releases: [Int] = []

    func segment(_ bytes: some Collection<UInt8>) -> Segment {
        let index = releases.count
        releases.append(0)

        return SegmentedBuffersTests.segment(bytes, released: { self.releases[index] += 1 })
    }

    var made: Int { releases.count }
    var released: Int { releases.count { $0 > 0 } }
    /// How many were given back more than once.
    var doubled: Int { releases.count { $0 > 1 } }
    /// Whether each was given back, once.
    var isSettled: Bool { releases.allSatisfy { $0 == 1 } }
}
