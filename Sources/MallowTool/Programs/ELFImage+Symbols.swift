// Whether a library defines a function: a library without `malloc` can be preloaded, and changes nothing.
//
//     section headers ──> the one of type 11 (SHT_DYNSYM) ──> symbols: name (an offset), …, section (0: none here)
//                                     └── its link ──> the section with the names

extension ELFImage {
    /// - Returns: nil if the file has no section headers to look through; the loader needs none.
    func defines(_ symbol: String, descriptor: Int32) -> Bool? {
        let wide = wordBits == 64
        guard let header = fields(descriptor, at: 0, byteCount: wide ? 64 : 52) else { return nil }
        let table = wide ? header.integer(at: 40, byteCount: 8) : header.integer(at: 32, byteCount: 4)
        let entrySize = header.integer(at: wide ? 58 : 46, byteCount: 2)
        let entryCount = header.integer(at: wide ? 60 : 48, byteCount: 2)
        guard table > 0, entrySize >= (wide ? 64 : 40) else { return nil }

        func section(_ index: UInt64) -> Section? {
            guard index < entryCount else { return nil }
            let position = table &+ index * entrySize
            return fields(descriptor, at: position, byteCount: Int(entrySize)).map { Section($0, isWide: wide) }
        }
        for index in 0..<entryCount {
            guard let symbols = section(index) else { return nil }
            guard symbols.type == 11 else { continue }
            guard let strings = section(UInt64(symbols.link)), let names = contents(strings, descriptor),
                let entries = contents(symbols, descriptor)
            else { return nil }
            return contains(symbol, entries, names)
        }
        return nil
    }

    private struct Section {
        let type: UInt64
        let link: UInt64
        let offset: UInt64
        let size: UInt64

        init(_ fields: Fields, isWide: Bool) {
            type = fields.integer(at: 4, byteCount: 4)
            link = isWide ? fields.integer(at: 40, byteCount: 4) : fields.integer(at: 24, byteCount: 4)
            offset = isWide ? fields.integer(at: 24, byteCount: 8) : fields.integer(at: 16, byteCount: 4)
            size = isWide ? fields.integer(at: 32, byteCount: 8) : fields.integer(at: 20, byteCount: 4)
        }
    }

    private func fields(_ descriptor: Int32, at position: UInt64, byteCount: Int) -> Fields? {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        guard Self.read(descriptor, into: &bytes, at: position) else { return nil }
        return Fields(bytes: bytes, isLittleEndian: isLittleEndian)
    }

    /// nil if the section is cut short, or larger than any library's.
    private func contents(_ section: Section, _ descriptor: Int32) -> [UInt8]? {
        guard section.size <= 64 << 20 else { return nil }
        return fields(descriptor, at: section.offset, byteCount: Int(section.size))?.bytes
    }

    private func contains(_ symbol: String, _ entries: [UInt8], _ names: [UInt8]) -> Bool {
        let wide = wordBits == 64
        let wanted = Array(symbol.utf8) + [0]
        let all = Fields(bytes: entries, isLittleEndian: isLittleEndian)
        return stride(from: 0, to: entries.count - (wide ? 23 : 15), by: wide ? 24 : 16).contains { start in
            let name = Int(all.integer(at: start, byteCount: 4))
            guard names.count - name >= wanted.count, names[name..<name + wanted.count].elementsEqual(wanted) else {
                return false
            }
            return all.integer(at: start + (wide ? 6 : 14), byteCount: 2) != 0
        }
    }
}
