// Bytes and delimiters that are searched across segments.

import Mallow
import Testing

@Suite struct SegmentedReaderFindTests {
    /// The end of HTTP's header in every segmentation of two cuts, also where its first bytes come before it in vain.
    @Test func delimitersAreFoundAcrossSegments() throws {
        let bytes = Array("a:b\r\n\r\r\n\r\n\r\nrest".utf8)
        for first in 1..<bytes.count - 1 {
            for second in first + 1..<bytes.count {
                var reader = SegmentedReader(
                    segmented(bytes, sizes: [first, second - first, bytes.count - second]))
                #expect(reader.find("\r\n\r\n") == 6)
                #expect(reader.find("\r\n\r\n", from: 7) == 8)
                #expect(reader.find("\r\n\r\n", from: 9) == nil)
                #expect(reader.find(Array("rest".utf8)) == 12)
                #expect(reader.find("resting") == nil)
                #expect(reader.find("rest", from: 12) == 12)
                #expect(reader.find("", from: 16) == 16)
                #expect(reader.find("", from: 17) == nil)
                #expect(reader.find(UInt8(ascii: "t")) == 15)
                #expect(reader.find(UInt8(ascii: "t"), from: 16) == nil)
                #expect(reader.find(UInt8(ascii: "z")) == nil)
                #expect(reader.position == 0)
                #expect(try reader.readString(upTo: "\r\n") == "a:b")
                #expect(try collected(reader.readSegments(upTo: "\n\r\n")) == Array("\r\r".utf8))
                #expect(reader.position == 10)
                #expect(reader.find("rest") == 2)
                #expect(throws: SegmentedReadError.endOfData(needed: 8, available: 6)) {
                    try reader.readSegments(upTo: "\r\nresti!")
                }
                #expect(reader.position == 10)
            }
        }
    }

    /// A delimiter that nearly matches everywhere, and one that spans many segments.
    @Test(arguments: [1, 2, 5, 300])
    func delimitersThatNearlyMatch(size: Int) throws {
        let bytes = Array(repeating: UInt8(7), count: 200) + [8] + Array(repeating: 7, count: 50)
        let reader = SegmentedReader(segmented(bytes, by: size))
        #expect(reader.find(Array(repeating: 7, count: 30) + [8]) == 170)
        #expect(reader.find([8] + Array(repeating: 7, count: 50)) == 200)
        #expect(reader.find([8] + Array(repeating: 7, count: 51)) == nil)
        #expect(reader.find(Array(repeating: 7, count: 201)) == nil)
        #expect(reader.find(bytes) == 0)
        #expect(reader.find(bytes, from: 1) == nil)
    }
}
