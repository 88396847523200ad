// The kinds of buffers, each of which every test of the relay runs on.

import StreamRelay
import StreamTestKit
import Testing

enum MemoryKind: CaseIterable { case segments, arrays, byteBuffers, copies }

/// Runs a test on one kind of buffers; at the end, nothing may be left in them.
func withMemory(_ kind: MemoryKind, _ body: (any StreamMemory) throws -> Void) throws {
    let memory: any StreamMemory =
        switch kind {
        case .segments: try SegmentedMemory()
        case .arrays: ArrayMemory()
        case .byteBuffers: ByteBufferMemory(largestRead: 1 << 16)
        case .copies: CopyingMemory(largestRead: 1 << 16)
        }
    try body(memory)
    #expect(memory.liveByteCount ?? 0 == 0)
    #expect(try memory.close() == (kind == .segments))
}

/// Random lengths that make up a whole.
func randomCuts(of count: Int, using numbers: inout SeededNumbers) -> [Range<Int>] {
    var cuts: [Range<Int>] = []
    var start = 0
    while start < count {
        let length = [1, 5, 187, 188, 189, 700, 1316, 9000].randomElement(using: &numbers) ?? 1
        cuts.append(start..<min(count, start + length))
        start += length
    }
    return cuts
}
