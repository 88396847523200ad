// References into a region: one to a value, one to a C string.

/// A value in a ``Region``: access to it for as long as the region is not reset, and no longer.
///
/// Noncopyable, so that nothing else writes what is being read, and nonescapable: it is no member of a class or of an
/// ordinary struct. Values that point at each other (a tree's nodes) use ``unsafePointer``.
///
/// What Swift 6.3 does not see: a variable that holds a reference of one region, is assigned one of an inner region,
/// and is read when the inner region has ended. That is so for every noncopyable and nonescapable type, `MutableSpan`
/// too. Initialise such a variable once.
@frozen
public struct RegionReference<Value: ~Copyable>: ~Copyable, ~Escapable {
    /// The value's address, for C code and for values that point at each other. Unsafe: the compiler does not see that
    /// it dangles after the region was reset, rewound, or has ended.
    public let unsafePointer: UnsafeMutablePointer<Value>

    @inlinable @inline(__always) @_lifetime(immortal)
    init(_ pointer: UnsafeMutablePointer<Value>) { unsafePointer = pointer }

    /// The value, in place: reading does not copy it.
    @inlinable
    public var value: Value {
        @inline(__always) unsafeAddress { UnsafePointer(unsafePointer) }
        @inline(__always) @_lifetime(self: copy self) unsafeMutableAddress { unsafePointer }
    }
}

/// A text in UTF-8 with a zero byte at its end, in a ``Region``.
@frozen
public struct RegionCString: ~Escapable {
    @usableFromInline let start: UnsafePointer<UInt8>
    /// The bytes before the zero byte that ends it.
    public let count: Int

    @inlinable @_lifetime(immortal)
    init(_ start: UnsafePointer<UInt8>, count: Int) {
        self.start = start
        self.count = count
    }

    /// The address, for C code. Unsafe: the compiler does not see that it dangles after the region was reset, rewound,
    /// or has ended.
    @inlinable
    public var unsafePointer: UnsafePointer<CChar> {
        UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
    }

    /// The bytes without the zero byte at the end.
    @inlinable
    public var utf8: Span<UInt8> {
        @_lifetime(copy self) get {
            _overrideLifetime(Span(_unsafeStart: start, count: count), copying: self)
        }
    }

    /// Calls a closure with the address, which must not leave it.
    @inlinable
    public func withUnsafePointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafePointer)
    }
}
