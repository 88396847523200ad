// What a connection wants, by its first bytes:
//
//     PUBLISH name LF       packets follow; answered by OK LF, or by ERROR reason LF
//     SUBSCRIBE name LF     answered by OK LF and packets, or by ERROR reason LF
//     STATISTICS LF         answered by lines of a name and a number
//     GET /name HTTP/1.1 …  the packets as the body of an answer; GET / is the statistics
//     POST /name HTTP/1.1 … the body is packets, in chunks or not (PUT, too): what ffmpeg does with an http:// output
//     0x47 …                packets at once: what ffmpeg does with a tcp:// output
//
// Lines may end in CR LF.

import TransportStream

/// What a connection wants.
public enum Request: Equatable, Sendable {
    case publish(String)
    case subscribe(String)
    case statistics
    /// Packets without a word.
    case publishUnnamed
    case get(String)
    case head(String)
    case post(String, isChunked: Bool, expectsContinue: Bool)
}

/// What the first bytes say.
public enum Handshake: Equatable, Sendable {
    /// The request, and how many bytes it took.
    case request(Request, byteCount: Int)
    case needsMore
    case malformed(String)

    /// A line longer than this is none.
    public static let longestLine = 1024
    /// The lines of an HTTP request are not longer than this together.
    public static let longestHead = 8192

    /// Looks at all that a connection has sent so far.
    public init(_ bytes: some StreamBytes) {
        let start = bytes.slice(0..<min(bytes.count, Self.longestHead + 1)).contents
        if start.first == syncByte {
            guard start.count >= 4 else {
                self = .needsMore
                return
            }
            // "GET " begins with the sync byte, too.
            if !start.starts(with: "GET ".utf8) {
                self = .request(.publishUnnamed, byteCount: 0)
                return
            }
        }
        var lines = Lines(rest: start[...])
        guard let line = lines.next() else {
            let isLong = start.count > Self.longestLine
            self = isLong ? .malformed("the first line is longer than \(Self.longestLine) bytes") : .needsMore
            return
        }
        let words = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
        switch (words.first, words.count) {
        case ("PUBLISH", 2): self = .request(.publish(words[1]), byteCount: lines.taken)
        case ("SUBSCRIBE", 2): self = .request(.subscribe(words[1]), byteCount: lines.taken)
        case ("STATISTICS", 1): self = .request(.statistics, byteCount: lines.taken)
        case (_, 3) where words[2].hasPrefix("HTTP/1.") && words[1].hasPrefix("/"):
            self = Self.readHead(words[0], String(words[1].dropFirst()), &lines, received: start.count)
        default: self = .malformed("PUBLISH name, SUBSCRIBE name, STATISTICS or HTTP is expected")
        }
    }

    /// The rest of an HTTP request: its fields, up to an empty line.
    private static func readHead(_ method: String, _ name: String, _ lines: inout Lines, received: Int) -> Handshake {
        var isChunked = false
        var expectsContinue = false
        while let line = lines.next() {
            if line.isEmpty {
                let request: Request
                switch method {
                case "GET": request = .get(name)
                case "HEAD": request = .head(name)
                case "POST", "PUT": request = .post(name, isChunked: isChunked, expectsContinue: expectsContinue)
                default: return .malformed("no such method")
                }
                return .request(request, byteCount: lines.taken)
            }
            let field = String(decoding: line, as: UTF8.self).lowercased()
            if field.hasPrefix("transfer-encoding:"), field.hasSuffix("chunked") { isChunked = true }
            if field.hasPrefix("expect:"), field.hasSuffix("100-continue") { expectsContinue = true }
        }
        return received > longestHead
            ? .malformed("the request's head is longer than \(longestHead) bytes") : .needsMore
    }
}

/// Lines of some bytes.
private struct Lines {
    var rest: ArraySlice<UInt8>
    /// How many bytes the lines took so far.
    private(set) var taken = 0

    init(rest: ArraySlice<UInt8>) { self.rest = rest }

    /// The next line without its end; nil where it is not whole, or too long.
    mutating func next() -> ArraySlice<UInt8>? {
        guard let end = rest.prefix(Handshake.longestLine + 1).firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        var line = rest[rest.startIndex..<end]
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        taken += end + 1 - rest.startIndex
        rest = rest[(end + 1)...]
        return line
    }
}
