// Misuse of an allocator ends the program with a line that names the allocator, the pointer and what is wrong, in
// release builds too. These are out of line: a caller pays a branch.

/// Ends the program: `what` says what is wrong with the pointer, as in "was freed already".
@usableFromInline @inline(never)
package func misuse(_ allocator: StaticString, _ pointer: UnsafeRawPointer, _ what: StaticString) -> Never {
    fatalError("\(allocator): \(pointer) \(what)")
}

/// Ends the program if the size is negative; otherwise says what is wrong with the request: what can be wrong in every
/// allocator, or that there was no memory.
@usableFromInline @inline(never)
package func refusal(
    _ allocator: StaticString, byteCount: Int, alignment: Int, largest: Int = .max, largestAlignment: Int = .max,
    otherwise reason: AllocationError.Reason = .outOfMemory
) -> AllocationError {
    if byteCount < 0 { fatalError("\(allocator): a request for a negative number of bytes (\(byteCount))") }
    let found: AllocationError.Reason =
        if !isPowerOfTwo(alignment) {
            .invalidAlignment
        } else if alignment > largestAlignment {
            .unsupportedAlignment(limit: largestAlignment)
        } else if byteCount > largest {
            .tooLarge(limit: largest)
        } else {
            reason
        }
    return AllocationError(allocator: allocator, byteCount: byteCount, alignment: alignment, reason: found)
}

/// Ends the program if the size is negative, and says whether the alignment is a power of two: what every allocator
/// asks first, two comparisons that disappear where the arguments are constants.
@inlinable @inline(__always)
package func isValid(_ allocator: StaticString, byteCount: Int, alignment: Int) -> Bool {
    if byteCount < 0 { negativeByteCount(allocator, byteCount) }
    return isPowerOfTwo(alignment)
}

@usableFromInline @inline(never)
package func negativeByteCount(_ allocator: StaticString, _ byteCount: Int) -> Never {
    fatalError("\(allocator): a request for a negative number of bytes (\(byteCount))")
}

@inlinable @inline(__always)
package func isPowerOfTwo(_ value: Int) -> Bool { value > 0 && value & (value &- 1) == 0 }

/// The least multiple of a power of two that is not below the value, or nil where it would not fit an `Int`.
@inlinable @inline(__always)
package func roundedUp(_ value: Int, toMultipleOf powerOfTwo: Int) -> Int? {
    let (sum, overflow) = value.addingReportingOverflow(powerOfTwo &- 1)
    return overflow ? nil : sum & ~(powerOfTwo &- 1)
}
