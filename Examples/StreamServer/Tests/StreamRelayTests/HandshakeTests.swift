// The first bytes of a connection, in any pieces, and bodies in chunks.

import Mallow
import StreamRelay
import StreamTestKit
import Testing

@Suite("Requests")
struct HandshakeTests {
    private func handshake(_ text: some Sequence<UInt8>) -> Handshake { Handshake(SegmentedBuffer(copying: text)) }

    private let requests: [(text: String, request: Request)] = [
        ("PUBLISH a\n", .publish("a")),
        ("PUBLISH a/b\r\n", .publish("a/b")),
        ("SUBSCRIBE x.ts\n", .subscribe("x.ts")),
        ("STATISTICS\r\n", .statistics),
        ("GET / HTTP/1.0\r\n\r\n", .get("")),
        ("GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n", .get("a/b")),
        ("HEAD /a HTTP/1.1\n\n", .head("a")),
        ("POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n", .post("a", isChunked: false, expectsContinue: false)),
        (
            "PUT /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nExpect: 100-continue\r\n\r\n",
            .post("a", isChunked: true, expectsContinue: true)
        ),
    ]

    @Test("Each request is known when it is whole, and what follows is left")
    func wholeAndInParts() {
        for (text, request) in requests {
            let bytes = Array(text.utf8)
            for count in 0..<bytes.count { #expect(handshake(bytes.prefix(count)) == .needsMore) }
            for rest in [[], [0x47], Array("GET".utf8)] {
                #expect(handshake(bytes + rest) == .request(request, byteCount: bytes.count))
            }
        }
    }

    @Test("Packets without a word, beside a GET that begins with the same byte")
    func packets() {
        let movie = StreamMaker.movie(groups: 1).bytes
        for count in 0..<4 { #expect(handshake(movie.prefix(count)) == .needsMore) }
        for count in [4, 188, 5000] {
            #expect(handshake(movie.prefix(count)) == .request(.publishUnnamed, byteCount: 0))
        }
        #expect(handshake("GET ".utf8) == .needsMore)
    }

    @Test("What is none")
    func malformed() {
        for text in [
            "\n", "HELLO\n", "publish a\n", "PUBLISH\n", "PUBLISH a b\n", "STATISTICS x\n", "GET a HTTP/1.1\r\n\r\n",
            "GET /a FTP/1.1\r\n\r\n", "DELETE /a HTTP/1.1\r\n\r\n", String(repeating: "x", count: 1025),
            "GET /a HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 1400),
        ] {
            guard case .malformed = handshake(text.utf8) else {
                Issue.record("accepted: \(text.prefix(30))")
                continue
            }
        }
        #expect(handshake(String(repeating: "x", count: 1024).utf8) == .needsMore)
    }
}

@Suite("Chunked bodies")
struct ChunkedBodyTests {
    @Test("What is in the chunks comes out, however they are cut", arguments: MemoryKind.allCases)
    func chunks(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            var numbers = SeededNumbers(seed: 9)
            for _ in 0..<50 {
                var body: [UInt8] = []
                var wire: [UInt8] = []
                for _ in 0..<Int.random(in: 0...8, using: &numbers) {
                    let count = Int.random(in: 1...3000, using: &numbers)
                    let chunk = (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) }
                    body += chunk
                    let extra = Bool.random(using: &numbers) ? ";name=value" : ""
                    wire += Array("\(String(count, radix: 16))\(extra)\r\n".utf8) + chunk + [13, 10]
                }
                wire += Array("0\r\n\(Bool.random(using: &numbers) ? "Field: x\r\n" : "")\r\n".utf8)
                var decoder = ChunkedBody()
                var unwrapped: [UInt8] = []
                for cut in randomCuts(of: wire.count, using: &numbers) {
                    #expect(!decoder.isAtEnd)
                    unwrapped += try decoder.unwrap(memory.copy(Array(wire[cut]))).contents
                }
                #expect(unwrapped == body && decoder.isAtEnd)
                #expect(try decoder.unwrap(memory.copy([1, 2, 3])).count == 0)
            }
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Sizes that are none, and ends that are not where they should be")
    func malformed() {
        for text in [
            "x", "\r\n", ";\r\n", "-1\r\n", "123456789\r\n", "1\r\nab", "3\r\nabcd",
            "1" + String(repeating: " ", count: 2000),
        ] {
            var decoder = ChunkedBody()
            #expect(throws: ChunkedBody.Fault.malformedChunk) {
                _ = try decoder.unwrap(SegmentedBuffer(copying: text.utf8))
            }
        }
    }
}
