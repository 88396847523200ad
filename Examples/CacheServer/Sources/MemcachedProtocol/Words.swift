// The words of a line: what lies between single or several spaces. Nothing else separates words, and a zero byte ends
// the line, as in memcached, where a line is a string of C.

/// Goes through the words of a line without copying them.
public struct Words: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer

    public init(_ line: UnsafeRawBufferPointer) { rest = line }

    /// The next word, which is never empty; nil at the end.
    public mutating func next() -> UnsafeRawBufferPointer? {
        var start = 0
        while start < rest.count, rest[start] == UInt8(ascii: " ") { start += 1 }
        var end = start
        while end < rest.count, rest[end] != UInt8(ascii: " "), rest[end] != 0 { end += 1 }
        guard end > start else {
            rest = UnsafeRawBufferPointer(rebasing: rest[..<0])
            return nil
        }
        let word = UnsafeRawBufferPointer(rebasing: rest[start..<end])
        rest = UnsafeRawBufferPointer(rebasing: rest[(end < rest.count && rest[end] == 0 ? rest.count : end)...])
        return word
    }

    /// What has not been gone through.
    public var remainder: UnsafeRawBufferPointer { rest }
}
