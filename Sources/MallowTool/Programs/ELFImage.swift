// The head of an ELF file: which processor it is for, and whether a dynamic loader starts it. That decides whether a
// library can be loaded before a program. `ELFImage+Symbols.swift` reads what a library defines.
//
//     0        4     5     6        16      18       20                     54 (64-bit)
//     +--------+-----+-----+---…----+-------+--------+---…---+---------------+
//     | 7f ELF |class|order|        | type  | machine|       | program headers: offset, size, count
//     +--------+-----+-----+---…----+-------+--------+---…---+---------------+

/// What the tool needs to know of an executable or a shared library.
struct ELFImage {
    /// 32 or 64.
    let wordBits: Int
    let isLittleEndian: Bool
    /// `e_machine`, as <elf.h> numbers it.
    let machine: UInt16
    /// `ET_DYN`: a shared library or a position-independent program.
    let isShared: Bool
    /// The dynamic loader that the file asks for (`PT_INTERP`); nil in a static program, and in most libraries.
    let loader: String?

    /// Reads the head of an open file; nil if it is no ELF file or is cut short.
    init?(descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 64)
        guard Self.read(descriptor, into: &bytes, at: 0), bytes[0...3].elementsEqual([0x7F, 0x45, 0x4C, 0x46]) else {
            return nil
        }
        let wide = bytes[4] == 2
        let little = bytes[5] == 1
        let header = Fields(bytes: bytes, isLittleEndian: little)
        wordBits = wide ? 64 : 32
        isLittleEndian = little
        machine = UInt16(truncatingIfNeeded: header.integer(at: 18, byteCount: 2))
        isShared = header.integer(at: 16, byteCount: 2) == 3

        let tableOffset = wide ? header.integer(at: 32, byteCount: 8) : header.integer(at: 28, byteCount: 4)
        let entrySize = Int(header.integer(at: wide ? 54 : 42, byteCount: 2))
        let entryCount = Int(header.integer(at: wide ? 56 : 44, byteCount: 2))
        guard entryCount == 0 || entrySize >= (wide ? 56 : 32) else { return nil }
        var found: String?
        for index in 0..<entryCount {
            var entry = [UInt8](repeating: 0, count: entrySize)
            let position = tableOffset &+ UInt64(index * entrySize)
            guard Self.read(descriptor, into: &entry, at: position) else { return nil }
            let fields = Fields(bytes: entry, isLittleEndian: little)
            // 3 is PT_INTERP.
            guard fields.integer(at: 0, byteCount: 4) == 3 else { continue }
            let offset = wide ? fields.integer(at: 8, byteCount: 8) : fields.integer(at: 4, byteCount: 4)
            let size = wide ? fields.integer(at: 32, byteCount: 8) : fields.integer(at: 16, byteCount: 4)
            guard size > 0, size <= 4096 else { return nil }
            var name = [UInt8](repeating: 0, count: Int(size))
            guard Self.read(descriptor, into: &name, at: offset) else { return nil }
            found = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        }
        loader = found
    }

    /// Whether code of the other image can be loaded into a process of this one.
    func isCompatible(with other: ELFImage) -> Bool {
        machine == other.machine && wordBits == other.wordBits && isLittleEndian == other.isLittleEndian
    }

    /// For messages: "x86-64", "32-bit ARM", "machine 1234".
    var architecture: String {
        switch (machine, wordBits) {
        case (3, _): "32-bit x86"
        case (62, 64): "x86-64"
        case (62, _): "x32"
        case (40, _): "32-bit ARM"
        case (183, _): "AArch64"
        case (243, _): "\(wordBits)-bit RISC-V"
        case (21, _): "PowerPC 64"
        case (22, _): "S/390"
        default: "machine \(machine)"
        }
    }

    /// Fills the bytes from a place in the file; false if the file ends before.
    static func read(_ descriptor: Int32, into bytes: inout [UInt8], at offset: UInt64) -> Bool {
        guard let position = off_t(exactly: offset) else { return false }
        return pread(descriptor, &bytes, bytes.count, position) == bytes.count
    }

    struct Fields {
        let bytes: [UInt8]
        let isLittleEndian: Bool

        func integer(at offset: Int, byteCount: Int) -> UInt64 {
            let field = bytes[offset..<offset + byteCount]
            return isLittleEndian
                ? field.reversed().reduce(0) { $0 << 8 | UInt64($1) } : field.reduce(0) { $0 << 8 | UInt64($1) }
        }
    }
}
