// An allocator as C libraries take one: function pointers, and a pointer that comes back as their first argument.
//
// The context is an object that is retained by hand, from the initialiser until `invalidate()`. Swift releases a variable
// after its last mention, which may be long before a C library makes its last call; so nothing here depends on one.

public import AllocatorCore

/// An allocator in C's terms: functions shaped as `malloc`, `free`, `calloc`, `realloc`, `malloc_usable_size` and
/// `malloc_good_size`, each with a context in front.
///
/// For C libraries with hooks that take a context. Where the hooks have another shape, adapt by a closure over the static
/// functions; so zlib's, which pass two 32-bit numbers:
///
///     let allocator = CAllocator(pool)
///     stream.opaque = allocator.context
///     stream.zalloc = { CAllocator.malloc($0, Int($1) * Int($2)) }
///     stream.zfree = { CAllocator.free($0, $1) }
///     …
///     try allocator.invalidate()
///
/// **Lifetime.** The context keeps the allocator alive until ``invalidate()``, whoever drops the variable in the
/// meantime. A program that forgets it leaks the allocator; nothing is freed under C's feet. Calls afterwards trap, as far
/// as the context's memory is not in use again.
///
/// **Rules.** Every block is aligned to 16 bytes, which the allocator must offer. A request that cannot be served returns
/// NULL, and nothing has changed. `malloc` of 0 bytes returns a block. `calloc` refuses a product that overflows.
/// `realloc` of NULL is `malloc`; `realloc` to 0 bytes gives a block of 0 bytes, which wants to be freed; where it fails,
/// the old block stays as it was. `free` of NULL does nothing. What was allocated through the table is freed through it,
/// not by the allocator's `deallocate`.
///
/// **Threads.** C code calls on whichever thread it runs. With an allocator that is `Sendable` that may be any; with
/// another it must be one, or one at a time.
///
/// An allocator that does not know its blocks' sizes pays 16 bytes a block.
public struct CAllocator {
    public typealias Malloc = @convention(c) (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
    public typealias Free = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Void
    public typealias Calloc = @convention(c) (UnsafeMutableRawPointer?, Int, Int) -> UnsafeMutableRawPointer?
    public typealias Realloc =
        @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
    public typealias UsableSize = @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Int
    public typealias GoodSize = @convention(c) (UnsafeMutableRawPointer?, Int) -> Int

    /// What each function takes as its first argument.
    public let context: UnsafeMutableRawPointer

    /// Makes a table of an allocator that one thread uses at a time.
    @inlinable
    public init<A: Allocator>(_ allocator: A) {
        self.init(CAllocationContext(allocator, isShared: false))
    }

    /// Makes a table of an allocator that any thread may use.
    @inlinable
    public init<A: Allocator & Sendable>(_ allocator: A) {
        self.init(CAllocationContext(allocator, isShared: true))
    }

    @usableFromInline
    init(_ context: CAllocationContext) {
        self.context = Unmanaged.passRetained(context).toOpaque()
    }

    /// The blocks that C code has not freed, or nil where there are none. An allocator that keeps an account answers for
    /// all of its blocks.
    public func findLeaks() -> LeakError? { Self.use(context) { $0.findLeaks() } }

    /// Ends the use of the table: where no block is live, releases the allocator, and leaves it open. C code must not call
    /// any more.
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
    /// `malloc` with a context.
    public static func malloc(_ context: UnsafeMutableRawPointer?, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        use(context) { $0.malloc(byteCount) }
    }

    /// `free` with a context.
    public static func free(_ context: UnsafeMutableRawPointer?, _ pointer: UnsafeMutableRawPointer?) {
        if let pointer { use(context) { $0.free(pointer) } }
    }

    /// `calloc` with a context.
    public static func calloc(
        _ context: UnsafeMutableRawPointer?, _ count: Int, _ byteCount: Int
    ) -> UnsafeMutableRawPointer? {
        use(context) { $0.calloc(count, byteCount) }
    }

    /// `realloc` with a context.
    public static func realloc(
        _ context: UnsafeMutableRawPointer?, _ pointer: UnsafeMutableRawPointer?, _ byteCount: Int
    ) -> UnsafeMutableRawPointer? {
        use(context) { object in if let pointer { object.realloc(pointer, byteCount) } else { object.malloc(byteCount) }
        }
    }

    /// The bytes of a block that may be used; 0 for NULL.
    public static func usableSize(_ context: UnsafeMutableRawPointer?, _ pointer: UnsafeMutableRawPointer?) -> Int {
        guard let pointer else { return 0 }
        return use(context) { $0.usableSize(pointer) }
    }

    /// How many bytes a request is given: a library that asks for so many wastes none.
    public static func goodSize(_ context: UnsafeMutableRawPointer?, _ byteCount: Int) -> Int {
        use(context) { $0.goodSizeForC(byteCount) }
    }

    // The same as C takes them.
    public var malloc: Malloc { { CAllocator.malloc($0, $1) } }
    public var free: Free { { CAllocator.free($0, $1) } }
    public var calloc: Calloc { { CAllocator.calloc($0, $1, $2) } }
    public var realloc: Realloc { { CAllocator.realloc($0, $1, $2) } }
    public var usableSize: UsableSize { { CAllocator.usableSize($0, $1) } }
    public var goodSize: GoodSize { { CAllocator.goodSize($0, $1) } }
}

extension Allocator {
    /// Calls a closure with this allocator in C's terms, for a C library whose use begins and ends inside it.
    ///
    /// - Throws: what the closure throws, or ``LeakError`` where blocks are live after it: the table stays valid then and
    ///   keeps the allocator, since C code may still point into it.
    public func withCAllocator<Result: ~Copyable>(_ body: (CAllocator) throws -> Result) throws -> Result {
        let allocator = CAllocator(self)
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
