// The sizes of blocks that share pages.
//
//   class 0          8 bytes
//   classes 1…16     16, 32, … 256: every multiple of 16, exact
//   classes 17…72    eight to a doubling, up to 32 KiB: at most 12.5 % more than was asked
//
// All of it is arithmetic on constants: no table, no state.

/// Size classes: from a number of bytes to a class and back.
public enum SizeClasses {
    /// How many classes there are.
    public static let count = 73

    /// The class whose blocks are the smallest that hold `byteCount` bytes. `byteCount` is at most 32 KiB. O(1).
    @inline(__always)
    public static func sizeClass(for byteCount: UInt) -> Int {
        if byteCount <= 256 {
            return byteCount <= 8 ? 0 : Int(bitPattern: (byteCount &+ 15) &>> 4)
        }
        let last = byteCount &- 1
        let exponent = UInt(63 &- last.leadingZeroBitCount)
        return Int(bitPattern: 17 &+ ((exponent &- 8) &<< 3) &+ ((last &>> (exponent &- 3)) & 7))
    }

    /// The number of bytes in a block of a class. O(1).
    @inline(__always)
    public static func byteCount(of sizeClass: Int) -> UInt {
        if sizeClass <= 16 { return sizeClass == 0 ? 8 : UInt(bitPattern: sizeClass) &<< 4 }
        let index = UInt(bitPattern: sizeClass) &- 17
        return (9 &+ (index & 7)) &<< (5 &+ (index &>> 3))
    }

    /// The smallest class that holds `byteCount` bytes and whose blocks all lie at multiples of `alignment` when the
    /// first of them does; nil where no class does. O(1): at most eight steps.
    static func sizeClass(for byteCount: UInt, alignment: UInt) -> Int? {
        let needed = Layout.roundedUp(byteCount == 0 ? 1 : byteCount, toMultipleOf: alignment)
        guard needed <= Layout.smallLimit else { return nil }
        var candidate = sizeClass(for: needed)
        while Self.byteCount(of: candidate) & (alignment &- 1) != 0 {
            candidate &+= 1
            if candidate == count { return nil }
        }
        return candidate
    }
}
