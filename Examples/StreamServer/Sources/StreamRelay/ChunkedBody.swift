// The body of an HTTP request in chunks: each is a line with its size in hexadecimal digits, the bytes, and the end of
// a line; the last has the size 0. The bytes are handed on where they lie.
//
//     5E0 CR LF  1504 bytes  CR LF  …  0 CR LF  CR LF

public struct ChunkedBody: Sendable {
    public enum Fault: Error, Equatable, CustomStringConvertible {
        case malformedChunk

        public var description: String { "a malformed chunk" }
    }

    private enum Place: Equatable {
        case size(digits: Int)
        /// Behind the size, up to the end of the line.
        case extensions(count: Int)
        case bytes
        case lineEnd
        case trailer(count: Int, lineIsEmpty: Bool)
        case end
    }

    /// The lines around chunks are not longer.
    private static let longestLine = 1024
    private var place = Place.size(digits: 0)
    /// The size that is being read, then how much of the chunk is to come.
    private var left = 0

    public init() {}

    /// Whether the last chunk has come.
    public var isAtEnd: Bool { place == .end }

    /// Takes what has come, and gives what lies in chunks.
    public mutating func unwrap<Bytes: StreamBytes>(_ received: Bytes) throws -> Bytes {
        var body = Bytes()
        var reader = received.makeReader()
        while reader.remaining > 0, place != .end {
            if place == .bytes {
                let count = min(left, reader.remaining)
                body.append(received.slice(reader.position..<reader.position + count))
                try reader.skip(count)
                left -= count
                if left == 0 { place = .lineEnd }
            } else {
                try take(try reader.readByte())
            }
        }
        return body
    }

    /// Takes a byte that lies around the chunks.
    private mutating func take(_ byte: UInt8) throws(Fault) {
        let isLineFeed = byte == UInt8(ascii: "\n")
        switch place {
        case .size(let digits):
            if let digit = Character(UnicodeScalar(byte)).hexDigitValue, digits < 8 {
                left = left << 4 | digit
                place = .size(digits: digits + 1)
            } else if digits > 0, isLineFeed {
                endSize()
            } else if digits > 0, byte == UInt8(ascii: "\r") || byte == UInt8(ascii: ";") || byte == UInt8(ascii: " ") {
                place = .extensions(count: 0)
            } else {
                throw .malformedChunk
            }
        case .extensions(let count):
            if isLineFeed {
                endSize()
            } else if count < Self.longestLine {
                place = .extensions(count: count + 1)
            } else {
                throw .malformedChunk
            }
        case .lineEnd:
            if isLineFeed {
                place = .size(digits: 0)
            } else if byte != UInt8(ascii: "\r") {
                throw .malformedChunk
            }
        case .trailer(let count, let lineIsEmpty):
            guard count < Self.longestLine else { throw .malformedChunk }
            if isLineFeed {
                place = lineIsEmpty ? .end : .trailer(count: count + 1, lineIsEmpty: true)
            } else {
                place = .trailer(count: count + 1, lineIsEmpty: lineIsEmpty && byte == UInt8(ascii: "\r"))
            }
        case .bytes, .end: break
        }
    }

    private mutating func endSize() { place = left > 0 ? .bytes : .trailer(count: 0, lineIsEmpty: true) }
}
