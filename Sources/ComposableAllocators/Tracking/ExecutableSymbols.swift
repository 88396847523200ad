// The symbol table of an ELF file, which also names functions that the program does not export. Empty for a file that
// is stripped, is no 64-bit ELF, or cannot be read: nothing in it is trusted. Only its sections of symbols are read.

import CMallowShims

struct ExecutableSymbols {
    private struct Symbol {
        var start: UInt
        var byteCount: UInt
        var name: Int
    }

    /// Functions by their start.
    private var symbols: [Symbol] = []
    private var names: [UInt8] = []
    /// Whether the addresses in the file are those in memory.
    private var isFixed = false

    init(path: String) {
        #if os(Linux)
            guard let file = fopen(path, "rb") else { return }
            read { offset, byteCount in
                guard offset <= Int.max, byteCount <= 1 << 30, fseek(file, Int(offset), SEEK_SET) == 0 else {
                    return []
                }
                return [UInt8](unsafeUninitializedCapacity: Int(byteCount)) { buffer, count in
                    count = fread(buffer.baseAddress, 1, Int(byteCount), file)
                }
            }
            fclose(file)
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
        guard symbol.byteCount == 0 || wanted - symbol.start < symbol.byteCount, symbol.name < names.count else {
            return nil
        }
        return String(decoding: names[symbol.name...].prefix { $0 != 0 }, as: UTF8.self)
    }

    /// - Parameter bytes: reads from an offset of the file so many bytes, or fewer at its end.
    private mutating func read(_ bytes: (_ offset: UInt64, _ byteCount: UInt64) -> [UInt8]) {
        let head = bytes(0, 64)
        // "\u{7F}ELF", of 64 bits, little-endian.
        guard head.count == 64, head.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { return }
        isFixed = Self.load(head, 16, as: UInt16.self) == 2
        let headerSize = Int(Self.load(head, 0x3A, as: UInt16.self))
        let headerCount = Int(Self.load(head, 0x3C, as: UInt16.self))
        let headers = bytes(Self.load(head, 0x28, as: UInt64.self), UInt64(headerSize * headerCount))
        guard headerSize >= 64, headers.count == headerSize * headerCount else { return }
        func section(_ header: Int) -> [UInt8] {
            bytes(
                Self.load(headers, header + 0x18, as: UInt64.self), Self.load(headers, header + 0x20, as: UInt64.self))
        }
        // The section of symbols, which tells the section of their names.
        for header in stride(from: 0, to: headers.count, by: headerSize)
        where Self.load(headers, header + 4, as: UInt32.self) == 2 {
            let link = Int(Self.load(headers, header + 0x28, as: UInt32.self))
            guard link < headerCount else { return }
            names = section(link * headerSize)
            readSymbols(section(header))
            return
        }
    }

    private mutating func readSymbols(_ table: [UInt8]) {
        let symbolByteCount = 24
        table.withUnsafeBytes { table in
            symbols.reserveCapacity(table.count / symbolByteCount)
            for offset in stride(from: 0, through: table.count - symbolByteCount, by: symbolByteCount) {
                let start = table.loadUnaligned(fromByteOffset: offset + 8, as: UInt.self)
                // Functions only.
                guard start != 0, table[offset + 4] & 15 == 2 else { continue }
                symbols.append(
                    Symbol(
                        start: start, byteCount: table.loadUnaligned(fromByteOffset: offset + 16, as: UInt.self),
                        name: Int(table.loadUnaligned(fromByteOffset: offset, as: UInt32.self))))
            }
        }
        symbols.sort { $0.start < $1.start }
    }

    private static func load<T: FixedWidthInteger & BitwiseCopyable>(_ bytes: [UInt8], _ offset: Int, as type: T.Type)
        -> T
    {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }
}
