// An allocator as C libraries take one: function pointers, and a pointer that comes back as their first argument.
//
// The context is an object that is retained by hand, from the initialiser until `invalidate()`. Swift releases a
// variable after its last mention, which may be long before a C library makes its last call; so nothing here depends on
// one. Cost, and what is counted: CAllocationContext.swift.

public import AllocatorCore

/// An allocator in C's terms: functions shaped as `malloc`, `free`, `calloc`, `realloc`, `malloc_usable_size` and
/// `malloc_good_size`, each with a context in front.
///
/// For C libraries with hooks that take a context. Where the hooks have another shape, adapt by a closure over the
/// static functions; so zlib's, which pass two 32-bit numbers:
///
///     let allocator = try CAllocator(pool)
///     stream.opaque = allocator.context
///     stream.zalloc = { CAllocator.malloc($0, Int($1) * Int($2)) }
///     stream.zfree = { CAllocator.free($0, $1) }
///     …
///     try allocator.invalidate()
///
/// **Lifetime.** The context keeps the allocator alive until ``invalidate()``, whoever drops the variable in the
/// meantime. A program that forgets it leaks the allocator; nothing is freed under C's feet. Calls afterwards trap, as
/// far as the context's memory is not in use again.
///
/// **Rules.** Every block is aligned to 16 bytes, which the allocator must offer. A request that cannot be served
/// returns NULL, and nothing has changed. `malloc` of 0 bytes returns a block. `calloc` refuses a product that
/// overflows. `realloc` of NULL is `malloc`; `realloc` to 0 bytes gives a block of 0 bytes, which wants to be freed;
/// where it fails, the old block stays as it was. `free` of NULL does nothing. What was allocated through the table is
/// freed through it, not by the allocator's `deallocate` or `freeAll`.
///
/// **Account.** The table counts its blocks and their usable bytes, so that ``findLeaks()`` and ``invalidate()`` speak
/// of C's blocks with every allocator, and of no others.
///
/// **Threads.** C code calls on whichever thread it runs. With an allocator that is `Sendable` that may be any; with
/// another it must be one, or one at a time.
///
/// An allocator that does not know its blocks' sizes pays 16 bytes a block.
public struct CAllocator {
    /// The shape of ``malloc``: context, bytes; returns the block or NULL.
    public typealias Malloc = @convention(c) (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
    /// The shape of ``free``: context, block or NULL.
    public typealias Free = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Void
    /// The shape of ``calloc``: context, how many, bytes of each; returns the zeroed block or NULL.
    public typealias Calloc = @convention(c) (UnsafeMutableRawPointer?, Int, Int) -> UnsafeMutableRawPointer?
    /// The shape of ``realloc``: context, block or NULL, bytes; returns the block, moved or not, or NULL.
    public typealias Realloc =
        @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
    /// The shape of ``usableSize``: context, block or NULL; returns bytes.
    public typealias UsableSize = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Int
    /// The shape of ``goodSize``: context, bytes; returns bytes.
    public typealias GoodSize = @convention(c) (UnsafeMutableRawPointer?, Int) -> Int

    /// What each function takes as its first argument. Valid until ``invalidate()``.
    public let context: UnsafeMutableRawPointer

    /// Makes a table of an allocator that one thread uses at a time.
    ///
    /// Looks whether the allocator serves C's requests: where its `goodSize` does not tell, by one block of a byte,
    /// which is freed at once.
    ///
    /// - Parameter allocator: where the blocks come from; kept until ``invalidate()``, and left open.
    /// - Throws: ``ConfigurationError`` where the allocator does not align to 16 bytes, or has no room for the least
    ///   request: C would get nothing but NULL.
    @inlinable
    public init<A: Allocator>(_ allocator: A) throws(ConfigurationError) {
        try self.init(CAllocationContext(allocator, isShared: false, for: "CAllocator"))
    }

    /// Makes a table of an allocator that any thread may use; else as for one that is not `Sendable`.
    ///
    /// - Parameter allocator: where the blocks come from; kept until ``invalidate()``, and left open.
    /// - Throws: ``ConfigurationError`` where the allocator does not align to 16 bytes, or has no room for the least
    ///   request.
    @inlinable
    public init<A: Allocator & Sendable>(_ allocator: A) throws(ConfigurationError) {
        try self.init(CAllocationContext(allocator, isShared: true, for: "CAllocator"))
    }

    @usableFromInline
    init(_ context: CAllocationContext) {
        self.context = Unmanaged.passRetained(context).toOpaque()
    }

    /// The blocks that C code has not freed, in usable bytes, or nil where there are none. Blocks of the same allocator
    /// that were not made through the table do not count; where they were made, the allocator itself may tell.
    ///
    /// Exact where no other thread calls at the moment. Traps after ``invalidate()``.
    public func findLeaks() -> LeakError? { Self.use(context) { $0.findLeaks() } }

    /// Ends the use of the table: where none of its blocks is live, releases the allocator, and leaves it open. C code
    /// must not call any more, on any thread. Traps where it was done already.
    ///
    /// - Throws: ``LeakError`` where blocks are live; the table stays valid then, so that they can be freed.
    public func invalidate() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        Self.use(context) { $0.magic = 0 }
        Unmanaged<CAllocationContext>.fromOpaque(context).release()
    }

    @inline(__always)
    private static func use<Result>(
        _ context: UnsafeMutableRawPointer?, _ body: (CAllocationContext) -> Result
    ) -> Result {
        guard let context else { fatalError("CAllocator: a call without a context") }
        return Unmanaged<CAllocationContext>.fromOpaque(context)._withUnsafeGuaranteedRef { object in
            if object.magic != CAllocationContext.validMagic {
                misuse("CAllocator", context, "is not a context, or was invalidated")
            }
            return body(object)
        }
    }
}

// MARK: - The functions

extension CAllocator {
    /// `malloc` with a context, which must be one of a table that is valid: else it traps, as every function here does.
    /// Thread-safe where the allocator is.
    ///
    /// - Returns: a block of at least `byteCount` bytes, aligned to 16, or NULL where it cannot be served.
    public static func malloc(_ context: UnsafeMutableRawPointer?, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        use(context) { $0.malloc(byteCount) }
    }

    /// `free` with a context; of NULL it does nothing. Traps where the allocator finds a block that is not live.
    public static func free(_ context: UnsafeMutableRawPointer?, _ pointer: UnsafeMutableRawPointer?) {
        if let pointer { use(context) { $0.free(pointer) } }
    }

    /// `calloc` with a context.
    ///
    /// - Returns: a block of `count` times `byteCount` bytes, all zero, or NULL where it cannot be served, or where the
    ///   product overflows.
    public static func calloc(
        _ context: UnsafeMutableRawPointer?, _ count: Int, _ byteCount: Int
    ) -> UnsafeMutableRawPointer? {
        use(context) { $0.calloc(count, byteCount) }
    }

    /// `realloc` with a context: in place where the block is large enough and no more than half of it would be wasted,
    /// or where the allocator can resize it; else by moving it.
    ///
    /// - Returns: the block, which has kept its contents up to the smaller size, or NULL: the old one is as it was
    ///   then.
    public static func realloc(
        _ context: UnsafeMutableRawPointer?, _ pointer: UnsafeMutableRawPointer?, _ byteCount: Int
    ) -> UnsafeMutableRawPointer? {
        use(context) { object in
            if let pointer { object.realloc(pointer, byteCount) } else { object.malloc(byteCount) }
        }
    }

    /// The bytes of a block that may be used, at least those that were asked for; 0 for NULL.
    public static func usableSize(_ context: UnsafeMutableRawPointer?, _ pointer: UnsafeMutableRawPointer?) -> Int {
        guard let pointer else { return 0 }
        return use(context) { $0.usableSize(pointer) }
    }

    /// How many bytes a request is given: a library that asks for so many wastes none.
    public static func goodSize(_ context: UnsafeMutableRawPointer?, _ byteCount: Int) -> Int {
        use(context) { $0.goodSizeForC(byteCount) }
    }

    // The same as C takes them: the same for every table, which the context tells apart.

    /// ``malloc(_:_:)`` as a C function pointer.
    public var malloc: Malloc { { CAllocator.malloc($0, $1) } }
    /// ``free(_:_:)`` as a C function pointer.
    public var free: Free { { CAllocator.free($0, $1) } }
    /// ``calloc(_:_:_:)`` as a C function pointer.
    public var calloc: Calloc { { CAllocator.calloc($0, $1, $2) } }
    /// ``realloc(_:_:_:)`` as a C function pointer.
    public var realloc: Realloc { { CAllocator.realloc($0, $1, $2) } }
    /// ``usableSize(_:_:)`` as a C function pointer.
    public var usableSize: UsableSize { { CAllocator.usableSize($0, $1) } }
    /// ``goodSize(_:_:)`` as a C function pointer.
    public var goodSize: GoodSize { { CAllocator.goodSize($0, $1) } }
}

extension Allocator {
    /// Calls a closure with this allocator in C's terms, for a C library whose use begins and ends inside it.
    ///
    /// One thread at a time may call through the table. For one that several threads call, make a ``CAllocator``.
    ///
    /// - Throws: what the closure throws; ``ConfigurationError`` where the allocator does not serve C's requests, and
    ///   the closure is not called; or ``LeakError`` where the table's blocks are live after it: the table stays valid
    ///   then and keeps the allocator, since C code may still point into it.
    public func withCAllocator<Result: ~Copyable>(_ body: (CAllocator) throws -> Result) throws -> Result {
        let allocator = try CAllocator(self)
        let result: Result
        do { result = try body(allocator) } catch {
            // What the closure threw says more than the leak that may follow from it.
            try? allocator.invalidate()
            throw error
        }
        try allocator.invalidate()
        return result
    }
}
