// The lines of requests: commands, keys, what is malformed.

import MemcachedProtocol
import Testing

/// A line as the parser sees it; what it points to lives until the body is done.
private func parsing<Result>(_ line: String, _ body: (ParsedLine) throws -> Result) rethrows -> Result {
    let bytes = Array(line.utf8)
    return try bytes.withUnsafeBytes { try body(ParsedLine.parse($0)) }
}

private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

/// What a line is answered with by the parser alone: nil where it is a request, "" where there is no answer.
private func refusal(_ line: String) -> String? {
    parsing(line) {
        switch $0 {
        case .request: nil
        case .refused(let reply): text(reply.bytes).replacing("\r\n", with: "")
        case .refusedQuietly: ""
        }
    }
}

@Suite struct RequestParserTests {
    @Test func storageCommands() throws {
        try parsing("set key 7 -1 12 noreply") {
            guard case .request(let request) = $0 else { throw Unexpected() }
            #expect(request.verb == .set)
            #expect(text(request.key) == "key")
            #expect(request.flags == 7)
            #expect(request.expiry == -1)
            #expect(request.byteCount == 12)
            #expect(request.isQuiet)
        }
        try parsing("  cas   k 4294967297 2147483648 0  18446744073709551615 ") {
            guard case .request(let request) = $0 else { throw Unexpected() }
            #expect(request.verb == .compareAndSwap)
            #expect(request.flags == 1, "flags are cut to 32 bits")
            #expect(request.expiry == .min, "and so are times")
            #expect(request.number == .max)
            #expect(!request.isQuiet)
        }
    }

    @Test func severalKeys() throws {
        try parsing("gets a bb  ccc ") {
            guard case .request(var request) = $0 else { throw Unexpected() }
            #expect(request.verb == .gets)
            var keys = [text(request.key)]
            while let key = request.rest.next() { keys.append(text(key)) }
            #expect(keys == ["a", "bb", "ccc"])
        }
        try parsing("gat 0") {
            guard case .request(let request) = $0 else { throw Unexpected() }
            #expect(request.key.isEmpty, "memcached lets the keys of gat be left out")
        }
    }

    @Test(arguments: [
        "", " ", "foo", "GET a", "getx a", "get", "get ", "set", "set a", "set a 0 0", "set a 0 0 1 noreply x",
        "cas a 0 0 1", "incr a", "incr a 1 2 3", "delete", "delete a b c d", "touch a", "touch a 1 2 3", "gat",
        "flush_all 1 2 3", "verbosity", "verbosity 1 2 3", "\0", "get \0", "set a\0b 0 0 1",
    ])
    func wrongNumberOfWords(line: String) { #expect(refusal(line) == "ERROR") }

    @Test(arguments: [
        ("set a x 0 1", "CLIENT_ERROR bad command line format"),
        ("set a -1 0 1", "CLIENT_ERROR bad command line format"),
        ("set a 0 0x 1", "CLIENT_ERROR bad command line format"),
        ("set a 0 0 -1", "CLIENT_ERROR bad command line format"),
        ("set a 0 0 2147483646", "CLIENT_ERROR bad command line format"),
        ("set a 18446744073709551616 0 1", "CLIENT_ERROR bad command line format"),
        ("set a 0 9223372036854775808 1", "CLIENT_ERROR bad command line format"),
        ("set a x 0 1 noreply", ""),
        ("cas a 0 0 1 x", "CLIENT_ERROR bad command line format"),
        ("incr a x", "CLIENT_ERROR invalid numeric delta argument"),
        ("decr a -1", "CLIENT_ERROR invalid numeric delta argument"),
        ("incr a x noreply", ""),
        ("delete a 1", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"),
        ("delete a 0 0", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"),
        ("touch a x", "CLIENT_ERROR invalid exptime argument"),
        ("gat x a", "CLIENT_ERROR invalid exptime argument"),
        ("flush_all x", "CLIENT_ERROR invalid exptime argument"),
        ("verbosity x", "CLIENT_ERROR bad command line format"),
    ])
    func wrongWords(line: String, answer: String) { #expect(refusal(line) == answer) }

    @Test(arguments: [
        "delete noreply", "delete a 0", "delete a 0 noreply", "flush_all", "flush_all noreply", "flush_all 0 x",
        "flush_all -1", "verbosity 1 x", "incr a +1", "incr a -0", "set a 0 0 2147483645", "stats", "version x", "quit",
        "bget a", "touch a 0 x",
    ])
    func whatMemcachedLetsThrough(line: String) { #expect(refusal(line) == nil) }

    @Test func keysOf250BytesAtMost() {
        let (longest, tooLong) = (String(repeating: "k", count: 250), String(repeating: "k", count: 251))
        let commands = [
            "get KEY", "get a KEY", "gat 0 KEY", "set KEY 0 0 1", "incr KEY 1", "delete KEY", "touch KEY 0",
        ]
        for command in commands {
            #expect(refusal(command.replacing("KEY", with: longest)) == nil)
            #expect(refusal(command.replacing("KEY", with: tooLong)) == "CLIENT_ERROR bad command line format")
        }
    }

    /// Whatever the bytes: an answer or a request, and no word beyond the line.
    @Test func randomLines() {
        var random = SystemRandomNumberGenerator()
        let words = [
            "get", "set", "cas", "incr", "delete", "touch", "flush_all", "noreply", "0", "-1", "99999999999999",
        ]
        for _ in 0..<20_000 {
            var line: [UInt8] = []
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                if Bool.random(using: &random) {
                    line += words.randomElement(using: &random)!.utf8
                } else {
                    line += (0..<Int.random(in: 0...9)).map { _ in UInt8.random(in: 0...255, using: &random) }
                }
                if Bool.random(using: &random) { line.append(0x20) }
            }
            line.withUnsafeBytes { bytes in
                guard case .request(var request) = ParsedLine.parse(bytes) else { return }
                var used = request.key.count
                while let word = request.rest.next() { used += word.count }
                #expect(used <= bytes.count)
                #expect(request.byteCount >= 0)
            }
        }
    }
}

struct Unexpected: Error {}
