// What lies in places of a fixed size fits there.

import Testing

@testable import MallocHeap

@Suite struct LayoutTests {
    @Test func fitsWhereItLies() {
        #expect(MemoryLayout<ProcessState>.size <= 512)
        #expect(MemoryLayout<PoolState>.size <= 512)
        #expect(MemoryLayout<PageRecord>.size <= Int(Layout.recordByteCount))
        #expect(MemoryLayout<HeapRecord>.size <= Int(HeapTables.directOffset))
        #expect(MemoryLayout<SegmentRecord>.size <= 256)
        #expect(MemoryLayout<FirstClassHeapRecord>.size <= Int(FirstClassHeapRecord.byteCount))
    }
}
