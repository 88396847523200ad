// A connection to the server, and what a load client needs of the protocol: `get` of one key and `set`.
//
// Requests are put into one buffer and sent in one call; the calls block, which is safe since the answers that can pile
// up meanwhile are those of one pipeline. Answers are read into one buffer that is as large as the largest of them, and
// parsed where they lie. Not thread-safe.

import Glibc

/// Something that makes the measurement worthless.
struct LoadError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }

    /// A system call that failed.
    init(call: String) { description = "\(call): \(String(cString: strerror(errno)))" }
}

/// What is asked of the server.
enum Request {
    case get(Item)
    case set(Item)
}

/// What the server answered.
enum Answer {
    case hit, miss, stored
    /// Neither STORED nor a value: the server's words.
    case refused(String)
}

final class Connection {
    let descriptor: Int32
    private(set) var inFlight: [Request] = []
    private var firstInFlight = 0
    private var output: [UInt8] = []
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 16)
    /// The bytes of `input` that have come and are not parsed.
    private var unparsed = 0..<0
    /// How many bytes of `input` must have come before it makes sense to parse again.
    private var wanted = 1

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw LoadError(call: "socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw LoadError(call: "connect") }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit {
        close(descriptor)
        input.deallocate()
    }

    var isIdle: Bool { firstInFlight == inFlight.count }

    /// Puts a request behind those that wait for `send`.
    func add(_ request: Request) {
        switch request {
        case .get(let item):
            append("get ")
            appendKey(item.number)
        case .set(let item):
            append("set ")
            appendKey(item.number)
            append(" 0 0 ")
            appendDecimal(item.byteCount)
            append("\r\n")
            output.append(contentsOf: item.value)
        }
        append("\r\n")
        inFlight.append(request)
    }

    /// Sends what was added.
    func send() throws {
        try output.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = Glibc.send(
                    descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
                guard count > 0 else { throw LoadError(call: "send") }
                sent += count
            }
        }
        output.removeAll(keepingCapacity: true)
    }

    /// Reads what has come, and hands each whole answer on with its request.
    func receive(_ body: (Request, Answer) throws -> Void) throws {
        if input.count - unparsed.upperBound < 1 << 16 {
            // What is left of the buffer is small: its bytes move to the front.
            memmove(input.baseAddress!, input.baseAddress! + unparsed.lowerBound, unparsed.count)
            unparsed = 0..<unparsed.count
        }
        let count = recv(
            descriptor, input.baseAddress! + unparsed.upperBound, input.count - unparsed.upperBound,
            Int32(MSG_DONTWAIT))
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else { throw LoadError(count == 0 ? "the server closed the connection" : "recv failed") }
        unparsed = unparsed.lowerBound..<unparsed.upperBound + count

        while !isIdle && unparsed.count >= wanted, let answer = try parse(inFlight[firstInFlight]) {
            let request = inFlight[firstInFlight]
            firstInFlight += 1
            try body(request, answer)
        }
        if isIdle {
            guard unparsed.isEmpty else { throw LoadError("the server answered what nobody asked") }
            inFlight.removeAll(keepingCapacity: true)
            firstInFlight = 0
        }
        if unparsed.isEmpty { unparsed = 0..<0 }
    }

    /// The answer to a request, where all of it has come.
    private func parse(_ request: Request) throws -> Answer? {
        let bytes = UnsafeRawBufferPointer(rebasing: input[unparsed])
        guard let end = memchr(bytes.baseAddress!, 10, bytes.count) else { return nil }
        let line = UnsafeRawBufferPointer(
            start: bytes.baseAddress!, count: UnsafeRawPointer(end) - bytes.baseAddress! + 1)
        var answer: Answer
        var length = line.count
        switch request {
        case .get(let item) where line.starts(with: "VALUE ".utf8):
            // VALUE key flags bytes\r\n, the value, \r\nEND\r\n
            guard let found = field(3, of: line), found == item.byteCount,
                field(1, of: line, skipping: 1) == item.number
            else { throw LoadError("asked for item \(item), got \(text(line))") }
            length += item.byteCount + 7
            guard bytes.count >= length else {
                wanted = length
                return nil
            }
            let value = UnsafeRawBufferPointer(rebasing: bytes[line.count..<line.count + item.byteCount])
            guard item.hasEnds(of: value), bytes[length - 5..<length].elementsEqual("END\r\n".utf8) else {
                throw LoadError("the value of \(item) is not what was stored")
            }
            answer = .hit
        case .get where line.elementsEqual("END\r\n".utf8): answer = .miss
        case .set where line.elementsEqual("STORED\r\n".utf8): answer = .stored
        default: answer = .refused(text(line))
        }
        unparsed = unparsed.lowerBound + length..<unparsed.upperBound
        wanted = 1
        return answer
    }

    private func text(_ line: UnsafeRawBufferPointer) -> String {
        String(decoding: line.prefix(100), as: UTF8.self).trimmingSuffix("\r\n")
    }

    /// The number in a field of a line, counted from 0, after some characters of it.
    private func field(_ index: Int, of line: UnsafeRawBufferPointer, skipping: Int = 0) -> Int? {
        let fields = line.dropLast(2).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard index < fields.count else { return nil }
        return fields[index].dropFirst(skipping).reduce(0) { value, digit in
            value.flatMap { digit >= 48 && digit < 58 ? $0 * 10 + Int(digit - 48) : nil }
        }
    }

    private func append(_ text: StaticString) {
        output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private func appendKey(_ number: Int) {
        append("k")
        appendDecimal(number)
    }

    private func appendDecimal(_ number: Int) {
        if number >= 10 { appendDecimal(number / 10) }
        output.append(48 + UInt8(truncatingIfNeeded: number % 10))
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(1)) : self
    }
}
