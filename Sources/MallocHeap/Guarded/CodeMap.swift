// What lies at an address of code: the file and the offset in it that `addr2line` and `llvm-symbolizer` take, and the
// nearest symbol of the file's own table. Everything is read from /proc/self/maps and from the file itself: the
// loader's own tables have a lock, which the thread that failed may hold, or one that a `fork` left behind.
//
// Memory is the caller's; nothing is allocated. Cost: a look through the maps for each address, and through the file's
// symbols: microseconds to milliseconds. It is for the end of a program.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// Where an address of code is.
struct CodeLocation {
    /// The file's path, in the memory of the map that found it, until its next look-up; empty for code of no file.
    var path: UnsafeMutablePointer<CChar>
    var pathCount = 0
    /// As a symbolizer wants it: in a program that cannot be moved, the address.
    var offset: UInt = 0
    /// Something is mapped there, and may be executed.
    var isMapped = false
    var isCode = false
}

/// Looks addresses up, with memory of its caller's: `CodeMap.byteCount` bytes.
struct CodeMap {
    static let byteCount = 16 << 10
    private static let lineLimit = 4400

    private let chunk: UnsafeMutableRawBufferPointer
    private let line: UnsafeMutablePointer<CChar>
    private let path: UnsafeMutablePointer<CChar>

    init(memory: UnsafeMutableRawPointer) {
        chunk = UnsafeMutableRawBufferPointer(start: memory, count: 4096)
        line = (memory + 4096).assumingMemoryBound(to: CChar.self)
        path = (memory + 4096 + Self.lineLimit).assumingMemoryBound(to: CChar.self)
    }

    /// Looks an address up.
    func locate(_ address: UInt) -> CodeLocation {
        var result = CodeLocation(path: path)
        var length = 0
        // Where the file of the line before begins.
        var base: UInt = 0
        path[0] = 0
        var knownCount = 0
        let name: StaticString = "/proc/self/maps"
        let opened = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        withUnsafeMutablePointer(to: &result) { result in
            _ = SystemText.read(opened, into: chunk) { count in
                for index in 0..<count {
                    let byte = chunk[index]
                    if byte != 0x0a {
                        if length < Self.lineLimit &- 1 {
                            line[length] = CChar(bitPattern: byte)
                            length &+= 1
                        }
                        continue
                    }
                    line[length] = 0
                    if !result.pointee.isMapped { look(at: length, for: address, &base, &knownCount, result) }
                    length = 0
                }
            }
        }
        return result
    }

    /// A line: `start-end perms offset device inode path`.
    private func look(
        at length: Int, for address: UInt, _ base: inout UInt, _ knownCount: inout Int,
        _ result: UnsafeMutablePointer<CodeLocation>
    ) {
        var index = 0
        let start = hexadecimal(&index)
        index &+= 1
        let end = hexadecimal(&index)
        index &+= 1
        let isReadable = line[index] == 0x72
        let isExecutable = line[index &+ 2] == 0x78
        index &+= 5
        let offset = hexadecimal(&index)
        // Device and inode.
        for _ in 0..<2 {
            index &+= 1
            while index < length, line[index] != 0x20 { index &+= 1 }
        }
        while index < length, line[index] == 0x20 { index &+= 1 }
        let count = length &- index
        if offset == 0 || count != knownCount || memcmp(line + index, path, count) != 0 {
            memcpy(path, line + index, count)
            path[count] = 0
            knownCount = count
            base = start &- offset
            if offset == 0, isReadable, count > 0, line[index] == 0x2f, Self.isFixed(start) { base = 0 }
        }
        guard address >= start, address < end else { return }
        result.pointee.isMapped = true
        result.pointee.isCode = isExecutable && isReadable
        result.pointee.pathCount = count > 0 && path[0] == 0x2f ? count : 0
        result.pointee.offset = address &- base
    }

    private func hexadecimal(_ index: inout Int) -> UInt {
        var value: UInt = 0
        while true {
            let character = UInt8(bitPattern: line[index])
            let digit: UInt8
            switch character {
            case 0x30...0x39: digit = character &- 0x30
            case 0x61...0x66: digit = character &- 0x57
            default: return value
            }
            value = value &<< 4 | UInt(digit)
            index &+= 1
        }
    }

    /// Whether what is mapped from here on is an ELF file that cannot be moved.
    private static func isFixed(_ start: UInt) -> Bool {
        guard SystemMemory.isReadable(start), SystemMemory.isReadable(start &+ 16) else { return false }
        return loadWord(start) & 0xffff_ffff == 0x464c_457f && loadWord(start &+ 16) & 0xffff == 2
    }

    /// Whether an address, which lies in readable code, is what a call returns to.
    static func isBehindCall(_ address: UInt) -> Bool {
        #if arch(arm64)
            guard address & 3 == 0, SystemMemory.isReadable(address &- 8) else { return false }
            let instruction = UnsafePointer<UInt32>(bitPattern: address &- 4).unsafelyUnwrapped.pointee
            return instruction & 0xfc00_0000 == 0x9400_0000 || instruction & 0xffff_fc1f == 0xd63f_0000
        #else
            guard SystemMemory.isReadable(address &- 8) else { return false }
            func byte(_ distance: UInt) -> UInt8 {
                UnsafePointer<UInt8>(bitPattern: address &- distance).unsafelyUnwrapped.pointee
            }
            if byte(5) == 0xe8 { return true }
            // By a register or memory: FF /2, and what follows by the form of the operand.
            var distance: UInt = 2
            while distance <= 7 {
                if byte(distance) == 0xff, byte(distance &- 1) & 0x38 == 0x10 { return true }
                distance &+= 1
            }
            return false
        #endif
    }
}
