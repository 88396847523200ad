// Segments to and from Data.

import Foundation
import Mallow
import MallowFoundation

extension Adapters {
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
        var shared: Data? = Data(unsafelySharing: segment!)
        segment = nil
        check(shared!.withUnsafeBytes { $0.baseAddress } == start, "a segment was copied")
        check(Witness.alive == 1 && shared! == Data(pattern(300)), "shared memory went too early")
        var grown = shared!
        grown.append(1)
        shared = nil
        check(Witness.alive == 0, "a Data that grew keeps the segment")
        check(grown.count == 301 && grown[299] == pattern(300)[299], "grown")
        // Foundation copies a few bytes, and gives them back at once.
        check(Data(unsafelySharing: counted([1, 2, 3])) == Data([1, 2, 3]), "a few bytes")
        check(Data(unsafelySharing: Segment(sharing: [])).isEmpty, "an empty segment")
    }

    /// What the plain initialisers make can be changed, and what was shared stays as it was.
    static func checkWhatDataSharesStays() {
        let text = pattern(500)
        let changes: [(inout Data) -> Void] = [
            { $0[0] = 90 },
            { data in
                data.removeLast(100)
                data.append(contentsOf: pattern(50, 9))
            },
            { $0.resetBytes(in: 3..<100) },
            { data in data.withUnsafeMutableBytes { (bytes: UnsafeMutableRawBufferPointer) in bytes[7] = 0 } },
        ]
        for (index, change) in changes.enumerated() {
            var copy = Data(copying: Segment(sharing: text))
            change(&copy)
            var second = Data(copying: SegmentedBuffer(Segment(sharing: text)))
            change(&second)
            check(text == pattern(500), "a copy that is changed by \(index) changes an array")

            let data = Data(text)
            var third = Data(copying: Segment(data))
            change(&third)
            check(data == Data(pattern(500)), "a copy that is changed by \(index) changes another Data")

            var shared = Data(unsafelySharing: Segment(sharing: text))
            let kept = shared
            change(&shared)
            check(text == pattern(500) && kept == Data(text), "a change by \(index) beside a second owner")
        }
        let segment = pattern(500).withUnsafeBytes { Segment(copying: $0) }
        var shared = Data(unsafelySharing: segment)
        shared[0] = 99
        check(segment[0] == 99, "a Data that shares is changed somewhere else: its docstring is wrong")
    }
}
