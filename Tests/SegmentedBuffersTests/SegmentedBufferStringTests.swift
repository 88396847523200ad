import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct SegmentedBufferStringTests {
    @Test func textGoesIn() {
        var buffer = SegmentedBuffer(copying: "añ")
        buffer.append(copying: "🙂 over"[...].dropLast(4))
        buffer.append(copying: String(repeating: "x", count: 100))
        buffer.append(copying: "")
        buffer.prepend(copying: "in front ")
        #expect(buffer == Array(("in front añ🙂 " + String(repeating: "x", count: 100)).utf8))
        #expect(buffer.brokenInvariant() == nil && SegmentedBuffer(copying: "").isEmpty)
    }

    /// However the bytes lie, and whether they are text or not, as the standard library has it of one array.
    @Test func textComesOut() throws {
        let ledger = Ledger()
        var random = SeededGenerator(seed: 5)
        #expect(String(SegmentedBuffer()).isEmpty && String(validating: SegmentedBuffer()) == "")
        for round in 0..<200 {
            var bytes = Array(String(repeating: "añ🙂", count: random.pick(12)).utf8)
            if random.flip(50), !bytes.isEmpty { bytes[random.pick(bytes.count)] = UInt8(random.pick(256)) }
            let buffer = try random.cut(bytes, ledger, largest: 1 + round % 5)
            #expect(String(buffer) == String(decoding: bytes, as: UTF8.self))
            #expect(String(validating: buffer) == String(validating: bytes, as: UTF8.self))
        }
        #expect(String(SegmentedBuffer(copying: [0x61, 0xff] as [UInt8])) == "a\u{FFFD}")
        #expect(ledger.isSettled)
    }
}
