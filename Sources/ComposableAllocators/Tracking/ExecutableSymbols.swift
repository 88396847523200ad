// The symbol table of an ELF file, which also names functions that the program does not export. Empty for a file that is
// stripped, is no 64-bit ELF, or cannot be read: nothing in it is trusted. Read once, when a report is asked for.

import CMallowShims

struct ExecutableSymbols {
    private struct Symbol {
        var start: UInt
        var byteCount: UInt
        var name: Int
    }

    private var bytes: [UInt8] = []
    /// Functions by their start.
    private var symbols: [Symbol] = []
    private var names = 0..<0
    /// Whether the addresses in the file are those in memory.
    private var isFixed = false

    init(path: String) {
        #if os(Linux)
            bytes = Self.contents(path)
            readSymbols()
        #endif
    }

    /// The mangled name of the function that an address lies in.
    func name(at address: UInt, fileStart: UInt) -> String? {
        let wanted = isFixed ? address : address &- fileStart
        var (low, high) = (0, symbols.count)
        while low < high {
            let middle = (low + high) / 2
            if symbols[middle].start <= wanted { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let symbol = symbols[low - 1]
        guard wanted - symbol.start < max(symbol.byteCount, 1), symbol.name < names.count else { return nil }
        return String(decoding: bytes[names].dropFirst(symbol.name).prefix { $0 != 0 }, as: UTF8.self)
    }

    private static func contents(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "rb") else { return [] }
        defer { fclose(file) }
        guard fseek(file, 0, SEEK_END) == 0 else { return [] }
        let byteCount = ftell(file)
        guard byteCount > 0, fseek(file, 0, SEEK_SET) == 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            count = fread(buffer.baseAddress, 1, byteCount, file)
        }
    }

    private func load<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T? {
        guard offset >= 0, offset <= bytes.count - MemoryLayout<T>.size else { return nil }
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }

    private func word(_ offset: Int) -> Int? { load(offset, as: UInt64.self).flatMap { Int(exactly: $0) } }

    /// A section's place in the file.
    private func section(_ header: Int) -> Range<Int>? {
        guard let start = word(header + 0x18), let byteCount = word(header + 0x20), start <= bytes.count,
            byteCount <= bytes.count - start
        else { return nil }
        return start..<start + byteCount
    }

    private mutating func readSymbols() {
        // "\u{7F}ELF", of 64 bits, little-endian.
        guard bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]), let kind = load(16, as: UInt16.self),
            let headers = word(0x28), let headerSize = load(0x3A, as: UInt16.self).map(Int.init),
            let headerCount = load(0x3C, as: UInt16.self).map(Int.init), headers < bytes.count
        else { return }
        isFixed = kind == 2
        for index in 0..<headerCount {
            let header = headers + index * headerSize
            // A symbol table, which names the section of its names.
            guard load(header + 4, as: UInt32.self) == 2, let table = section(header),
                let link = load(header + 0x28, as: UInt32.self).map(Int.init), link < headerCount,
                let names = section(headers + link * headerSize)
            else { continue }
            self.names = names
            for offset in stride(from: table.lowerBound, to: table.upperBound - 23, by: 24) {
                guard let name = load(offset, as: UInt32.self), let info = load(offset + 4, as: UInt8.self),
                    let start = load(offset + 8, as: UInt64.self), let size = load(offset + 16, as: UInt64.self),
                    info & 15 == 2, start != 0
                else { continue }
                symbols.append(Symbol(start: UInt(start), byteCount: UInt(size), name: Int(name)))
            }
        }
        symbols.sort { $0.start < $1.start }
    }
}
