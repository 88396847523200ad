// Numbers and text to a descriptor or a C stream, without allocating and without libc's formatting.

import CMallowShims

/// Text put together in a caller's buffer and written to a descriptor: the only output this library makes.
public struct TextWriter {
    private let descriptor: CInt
    private let stream: UnsafeMutableRawPointer?
    private let buffer: UnsafeMutableRawBufferPointer
    private var count = 0

    public init(descriptor: CInt, buffer: UnsafeMutableRawBufferPointer) {
        self.descriptor = descriptor
        self.stream = nil
        self.buffer = buffer
    }

    /// Writes to a C `FILE`.
    public init(stream: UnsafeMutableRawPointer, buffer: UnsafeMutableRawBufferPointer) {
        self.descriptor = -1
        self.stream = stream
        self.buffer = buffer
    }

    public mutating func write(_ text: StaticString) {
        for index in 0..<text.utf8CodeUnitCount { write(byte: text.utf8Start[index]) }
    }

    public mutating func write(byte: UInt8) {
        if count == buffer.count { flush() }
        buffer[count] = byte
        count &+= 1
    }

    public mutating func write(_ number: UInt, width: Int = 0) {
        var divisor: UInt = 1
        var digits = 1
        while number / divisor >= 10 {
            divisor = divisor &* 10
            digits &+= 1
        }
        var padding = width &- digits
        while padding > 0 {
            write(byte: 0x20)
            padding &-= 1
        }
        while divisor > 0 {
            write(byte: 0x30 &+ UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }

    public mutating func write(hexadecimal number: UInt) {
        var shift = (UInt.bitWidth &- (number | 1).leadingZeroBitCount &- 1) / 4
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: number &>> UInt(bitPattern: shift &* 4)) & 15
            write(byte: digit < 10 ? 0x30 &+ digit : 0x57 &+ digit)
            shift &-= 1
        }
    }

    public mutating func flush() {
        if let stream {
            mallow_write_stream(stream, buffer.baseAddress, count)
            count = 0
            return
        }
        var written = 0
        while written < count {
            let result = CMallowShims.write(
                descriptor, buffer.baseAddress.unsafelyUnwrapped + written, count &- written)
            if result <= 0 { break }
            written &+= result
        }
        count = 0
    }
}
