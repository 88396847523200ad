// How many bytes an instruction reads or writes, out of its own bytes: the processor says where a fault was, and not
// how wide the access. It knows the loads and stores that compilers and libc's string functions are made of; for all
// else, and for repeated string instructions, it says nothing.
//
// Source: the instruction formats of the Intel 64 and the Arm Architecture Reference Manuals.

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// The width of a memory access.
enum AccessSize {
    /// In bytes; 0 if it is not known. `address` is where an instruction was that faulted on its operand.
    static func byteCount(ofInstructionAt address: UInt) -> UInt {
        // No instruction is longer than 15 bytes, and none of ours reads two words beyond its own.
        guard SystemMemory.isReadable(address), SystemMemory.isReadable(address &+ 16) else { return 0 }
        #if arch(x86_64)
            var instruction = IntelInstruction(next: address)
            return instruction.operandByteCount()
        #elseif arch(arm64)
            return arm(UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped.load(as: UInt32.self))
        #else
            return 0
        #endif
    }

    /// Loads and stores have 1 in bit 27 and 0 in bit 25.
    static func arm(_ instruction: UInt32) -> UInt {
        guard instruction &>> 25 & 5 == 4 else { return 0 }
        let size = UInt(instruction &>> 30)
        let isVector = instruction &>> 26 & 1 != 0
        // Pairs of registers.
        if instruction &>> 27 & 7 == 5 { return isVector ? 8 &<< size : (size & 2 == 0 ? 8 : 16) }
        if isVector, size == 0, instruction &>> 23 & 1 != 0 { return 16 }
        return 1 &<< size
    }
}

/// An instruction of x86-64, read byte by byte.
struct IntelInstruction {
    var next: UInt
    private var isShort = false
    private var isWide = false
    /// F2 or F3: of a vector instruction, that it takes one number, a double or a float.
    private var repeats: UInt8 = 0

    init(next: UInt) { self.next = next }

    private mutating func byte() -> UInt8 {
        defer { next &+= 1 }
        return UnsafePointer<UInt8>(bitPattern: next).unsafelyUnwrapped.pointee
    }

    /// Of the general registers that the instruction works on.
    private var word: UInt { isWide ? 8 : isShort ? 2 : 4 }

    mutating func operandByteCount() -> UInt {
        var opcode = byte()
        while true {
            switch opcode {
            case 0x66: isShort = true
            case 0xf2, 0xf3: repeats = opcode
            case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67, 0xf0: break
            case 0x40...0x4f:
                isWide = opcode & 8 != 0
                opcode = byte()
                return opcode == 0x0f ? twoBytes(byte()) : oneByte(opcode)
            case 0x0f: return twoBytes(byte())
            case 0xc4, 0xc5: return vector(opcode)
            case 0x62: return wideVector()
            default: return oneByte(opcode)
            }
            opcode = byte()
        }
    }

    private func oneByte(_ opcode: UInt8) -> UInt {
        switch opcode {
        // String instructions, repeated: as many as a register says.
        case 0xa4...0xa7, 0xaa...0xaf: return repeats != 0 ? 0 : opcode & 1 == 0 ? 1 : word
        // Sums and the like, in fours of byte and word; those of immediate numbers touch no memory.
        case 0x00...0x3f: return opcode & 7 > 3 ? 0 : opcode & 1 == 0 ? 1 : word
        case 0x63: return 4
        case 0x80...0x8b, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0...0xd3, 0xf6, 0xf7, 0xfe:
            // 83 is a word with an immediate byte.
            return opcode & 1 == 0 && opcode != 0x82 ? 1 : word
        // Calls, jumps and pushes through memory are eight bytes wide, counting is not.
        case 0xff: return UnsafePointer<UInt8>(bitPattern: next).unsafelyUnwrapped.pointee &>> 3 & 7 > 1 ? 8 : word
        default: return 0
        }
    }

    private func twoBytes(_ opcode: UInt8) -> UInt {
        switch opcode {
        case 0x40...0x4f, 0xa3, 0xab, 0xaf, 0xb1, 0xb3, 0xba, 0xbb, 0xbc, 0xbd, 0xc1: return word
        case 0x90...0x9f, 0xb0, 0xb6, 0xbe, 0xc0: return 1
        case 0xb7, 0xbf: return 2
        case 0xc3: return isWide ? 8 : 4
        default: return vectorByteCount(opcode, of: isShort || isPacked(opcode) ? 16 : 8)
        }
    }

    /// Instructions of the first vector extension that take sixteen bytes without a prefix.
    private func isPacked(_ opcode: UInt8) -> Bool {
        opcode == 0x10 || opcode == 0x11 || opcode == 0x28 || opcode == 0x29 || opcode == 0x2b
            || opcode >= 0x51 && opcode <= 0x5f || repeats != 0
    }

    private func vectorByteCount(_ opcode: UInt8, of whole: UInt) -> UInt {
        let one: UInt = repeats == 0xf3 ? 4 : repeats == 0xf2 ? 8 : whole
        switch opcode {
        case 0x10, 0x11, 0x51...0x5f: return one
        case 0x28, 0x29, 0x2b, 0x6f, 0x7f, 0xe7, 0x74...0x76, 0xd8...0xdf, 0xeb, 0xef, 0xf8...0xfe: return whole
        case 0x12, 0x13, 0x16, 0x17, 0xd6: return 8
        case 0x2e, 0x2f: return isShort ? 8 : 4
        case 0x6e: return isWide ? 8 : 4
        case 0x7e: return repeats == 0xf3 || isWide ? 8 : 4
        default: return 0
        }
    }

    private mutating func vector(_ prefix: UInt8) -> UInt {
        var last = byte()
        if prefix == 0xc4 {
            // Other maps have other instructions under the same numbers.
            if last & 31 != 1 { return 0 }
            last = byte()
            isWide = last & 0x80 != 0
        }
        setPrefix(last)
        return vectorByteCount(byte(), of: last & 4 != 0 ? 32 : 16)
    }

    private mutating func wideVector() -> UInt {
        if byte() & 7 != 1 { return 0 }
        let second = byte()
        isWide = second & 0x80 != 0
        setPrefix(second)
        let length = UInt(byte() &>> 5 & 3)
        return length == 3 ? 0 : vectorByteCount(byte(), of: 16 &<< length)
    }

    /// The two bits that stand for a prefix of older instructions.
    private mutating func setPrefix(_ bits: UInt8) {
        switch bits & 3 {
        case 1: isShort = true
        case 2: repeats = 0xf3
        case 3: repeats = 0xf2
        default: break
        }
    }
}
