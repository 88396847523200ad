// The code of a traced process: which addresses are the program's own, which are the entries of the malloc family, and
// which instructions lock a cache line. Read from what `MallocWorkloads --addresses` prints, and from the files that
// are mapped there.

import Foundation

struct CodeMap {
    enum Entry { case allocation, free }

    private struct Mapping {
        let range: Range<UInt>
        let bytes: Data
        /// Of the first byte of the mapping in the file.
        let offset: Int
    }

    /// The workload's program itself.
    let program: Range<UInt>
    let entries: [UInt: Entry]
    private let mappings: [Mapping]

    init(_ description: String) throws(BenchmarkError) {
        var mappings: [(mapping: Mapping, path: String)] = []
        var entries: [UInt: Entry] = [:]
        var inProgram: UInt?
        for line in description.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 4)
            let numbers = words.dropFirst().prefix(3).compactMap { UInt($0, radix: 16) }
            if words[0] == "code", words.count == 5, numbers.count == 3 {
                let path = String(words[4])
                guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else {
                    throw BenchmarkError("cannot read \(path)")
                }
                let range = numbers[0]..<numbers[1]
                mappings.append((Mapping(range: range, bytes: bytes, offset: Int(numbers[2])), path))
            } else if words[0] == "entry", words.count == 3, let address = numbers.first {
                entries[address] = words[2] == "free" ? .free : .allocation
            } else if words[0] == "program" {
                inProgram = numbers.first
            }
        }
        guard let inProgram, let program = mappings.first(where: { $0.mapping.range.contains(inProgram) }),
            entries.count >= 5
        else {
            throw BenchmarkError("unreadable output of MallocWorkloads --addresses: \(description)")
        }
        self.program = program.mapping.range
        self.entries = entries
        self.mappings = mappings.map(\.mapping)
    }

    /// Whether the instruction at an address is one that no other processor's access to its memory can come into: a
    /// `lock` prefix, an exchange with memory, or a full fence. (x86-64.)
    func isLocked(at address: UInt) -> Bool {
        var bytes = instruction(at: address)
        while let first = bytes.first, [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x3e, 0x26, 0x36, 0x64, 0x65].contains(first) {
            bytes = bytes.dropFirst()
        }
        if bytes.first == 0xf0 { return true }
        if let first = bytes.first, 0x40...0x4f ~= first { bytes = bytes.dropFirst() }
        let code = Array(bytes)
        guard code.count >= 3 else { return false }
        if code[0] == 0x86 || code[0] == 0x87 { return code[1] < 0xc0 }
        return code[0] == 0x0f && code[1] == 0xae && 0xf0...0xf7 ~= code[2]
    }

    /// Whether a call begins with the instruction at an address.
    func isCall(at address: UInt) -> Bool {
        let bytes = Array(instruction(at: address))
        return bytes.count >= 2 && (bytes[0] == 0xe8 || bytes[0] == 0xff && bytes[1] & 0x38 == 0x10)
    }

    /// The bytes of the longest instruction that may be there.
    private func instruction(at address: UInt) -> Data {
        guard let mapping = mappings.first(where: { $0.range.contains(address) }) else { return Data() }
        let start = mapping.bytes.startIndex + mapping.offset + Int(address - mapping.range.lowerBound)
        guard start < mapping.bytes.endIndex else { return Data() }
        return mapping.bytes[start..<min(start + 15, mapping.bytes.endIndex)]
    }
}
