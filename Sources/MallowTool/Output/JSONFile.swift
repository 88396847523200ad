// The file that `--json` names. It is opened before the program is run: a long run must not end in a path that was
// wrong.

struct JSONFile {
    private let path: String
    private let descriptor: Int32

    /// - Throws: `cannotCreate`. A file that is there keeps its contents until `write`.
    init(path: String) throws(ToolFailure) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    /// Writes a record with sorted keys, and a newline.
    func write(_ record: some Encodable) throws(ToolFailure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(record) else {
            throw ToolFailure(.cannotCreate, "\(path): the record has a number that JSON lacks")
        }
        // Fails for what is no regular file (`/dev/stdout`), where there is nothing to cut off.
        ftruncate(descriptor, 0)
        let bytes = [UInt8](data) + [UInt8(ascii: "\n")]
        guard bytes.withUnsafeBytes({ writeBytes(descriptor, $0) }), close(descriptor) == 0 else {
            throw Self.failure(path)
        }
    }

    private static func failure(_ path: String) -> ToolFailure {
        ToolFailure(
            .cannotCreate, "\(path): the JSON cannot be written (\(systemMessage())); name a file in a folder of yours")
    }
}

/// How a program ended, in JSON: one of the two is there.
struct TerminationRecord: Codable {
    var status: Int?
    var signal: Int?

    init(_ termination: Termination) {
        switch termination {
        case .exited(let status): self.status = Int(status)
        case .killed(let signal): self.signal = Int(signal)
        }
    }
}
