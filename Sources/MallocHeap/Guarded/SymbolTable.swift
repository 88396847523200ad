// The nearest symbol below an offset of an ELF file, out of the file itself: of its full table if it has one, of its
// dynamic one if not. Read with suspicion: whatever does not fit inside the file is as if it were not there.

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// An ELF file of 64 bits, mapped.
struct SymbolTable {
    private let file: UInt
    private let byteCount: UInt

    /// Nil if the file cannot be read, or is none.
    init?(path: UnsafePointer<CChar>) {
        (file, byteCount) = SystemText.map(path)
        if file == 0 { return nil }
        if byteCount < 64 || word(0, 4) != 0x464c_457f || word(4, 1) != 2 {
            close()
            return nil
        }
    }

    func close() { SystemMemory.unmap(address: file, byteCount: byteCount) }

    /// The name of the function that an offset is in, and where in it; nil if no symbol says so.
    func symbol(at offset: UInt) -> (name: UnsafePointer<CChar>, distance: UInt)? {
        search(tableOfType: 2, offset) ?? search(tableOfType: 11, offset)
    }

    private func search(tableOfType type: UInt, _ offset: UInt) -> (name: UnsafePointer<CChar>, distance: UInt)? {
        let sections = word(40, 8)
        let sectionBytes = word(58, 2)
        var index: UInt = 0
        while index < word(60, 2) {
            let section = sections &+ index &* sectionBytes
            index &+= 1
            guard word(section &+ 4, 4) == type else { continue }
            let strings = sections &+ word(section &+ 40, 4) &* sectionBytes
            var symbol = word(section &+ 24, 8)
            let end = symbol &+ word(section &+ 32, 8)
            guard end <= byteCount else { continue }
            var best: UInt = 0
            var distance = UInt.max
            while symbol < end {
                // A function, defined here, that begins at the offset or before it, and ends behind it or nowhere.
                let value = word(symbol &+ 8, 8)
                let isFunction = word(symbol &+ 4, 1) & 15 == 2 || word(symbol &+ 4, 1) & 15 == 10
                if isFunction, word(symbol &+ 6, 2) != 0, value <= offset, offset &- value < distance {
                    let size = word(symbol &+ 16, 8)
                    if size == 0 || offset &- value < size {
                        best = symbol
                        distance = offset &- value
                    }
                }
                symbol &+= 24
            }
            guard best != 0 else { continue }
            let name = word(strings &+ 24, 8) &+ word(best, 4)
            guard name < byteCount, isTerminated(name) else { continue }
            return (UnsafePointer(bitPattern: file &+ name).unsafelyUnwrapped, distance)
        }
        return nil
    }

    private func isTerminated(_ name: UInt) -> Bool {
        var index = name
        while index < byteCount {
            if UnsafePointer<UInt8>(bitPattern: file &+ index).unsafelyUnwrapped.pointee == 0 { return index > name }
            index &+= 1
        }
        return false
    }

    /// A little-endian number of one to eight bytes; 0 outside the file.
    private func word(_ offset: UInt, _ count: UInt) -> UInt {
        guard offset <= byteCount, byteCount &- offset >= count else { return 0 }
        let address = UnsafeRawPointer(bitPattern: file &+ offset).unsafelyUnwrapped
        switch count {
        case 1: return UInt(address.load(as: UInt8.self))
        case 2: return UInt(address.loadUnaligned(as: UInt16.self))
        case 4: return UInt(address.loadUnaligned(as: UInt32.self))
        default: return address.loadUnaligned(as: UInt.self)
        }
    }
}
