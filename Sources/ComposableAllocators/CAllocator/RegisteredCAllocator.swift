// One allocator for C libraries whose hooks take no context: the process has one place where it stands, a word of
// static storage. A call loads that word and then costs what a call with a context costs.

public import AllocatorCore
import CMallowShims

/// Functions shaped exactly as `malloc`, `free`, `calloc`, `realloc`, `malloc_usable_size` and `malloc_good_size`, over
/// the one allocator that is registered, for C libraries whose hooks take no context (SQLite, cJSON, …).
///
///     try RegisteredCAllocator.register(Synchronized(pool))
///     hooks.malloc_fn = RegisteredCAllocator.mallocFunction
///     hooks.free_fn = RegisteredCAllocator.freeFunction
///     …
///     try RegisteredCAllocator.unregister()
///
/// **Rules.** One allocator at a time: a second is refused. It is `Sendable`, since C code calls on any thread. Without
/// one, `malloc`, `calloc` and `realloc` of NULL return NULL, and a call with a block traps. Registering and
/// unregistering are for moments at which no C code allocates. For the rest see ``CAllocator``. Where two libraries
/// share it, the blocks of both count for ``unregister()``; blocks of the same allocator that Swift code made do not.
public enum RegisteredCAllocator {
    /// An allocator is registered already.
    public struct AlreadyRegistered: Error, Equatable, Sendable, CustomStringConvertible {
        /// The type of the one that is registered.
        public let registered: String

        /// One line, for people.
        public var description: String { "RegisteredCAllocator: an allocator is registered already (\(registered))" }
    }

    /// The shape of ``mallocFunction``: bytes; returns the block or NULL.
    public typealias Malloc = @convention(c) (Int) -> UnsafeMutableRawPointer?
    /// The shape of ``freeFunction``: block or NULL.
    public typealias Free = @convention(c) (UnsafeMutableRawPointer?) -> Void
    /// The shape of ``callocFunction``: how many, bytes of each; returns the zeroed block or NULL.
    public typealias Calloc = @convention(c) (Int, Int) -> UnsafeMutableRawPointer?
    /// The shape of ``reallocFunction``: block or NULL, bytes; returns the block, moved or not, or NULL.
    public typealias Realloc = @convention(c) (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
    /// The shape of ``usableSizeFunction``: block or NULL; returns bytes.
    public typealias UsableSize = @convention(c) (UnsafeMutableRawPointer?) -> Int
    /// The shape of ``goodSizeFunction``: bytes; returns bytes.
    public typealias GoodSize = @convention(c) (Int) -> Int

    /// Makes an allocator the one behind the functions, and keeps it until ``unregister()``.
    ///
    /// Looks whether the allocator serves C's requests: where its `goodSize` does not tell, by one block of a byte,
    /// which is freed at once.
    ///
    /// - Throws: ``AlreadyRegistered``, and the one that is registered stays; or ``ConfigurationError`` where the
    ///   allocator does not align to 16 bytes, or has no room for the least request: C would get nothing but NULL.
    @inlinable
    public static func register<A: Allocator & Sendable>(_ allocator: A) throws {
        try refuseSecond()
        try register(CAllocationContext(allocator, isShared: true, for: "RegisteredCAllocator"))
    }

    /// Registers an allocator that is not thread-safe, for libraries that promise to call their hooks one at a time:
    /// SQLite does while its memory statistics are on, which is the default. Nothing checks the promise.
    ///
    /// - Throws: what ``register(_:)`` throws.
    @inlinable
    public static func registerUnchecked<A: Allocator>(_ allocator: A) throws {
        try refuseSecond()
        try register(CAllocationContext(allocator, isShared: false, for: "RegisteredCAllocator"))
    }

    /// So that an allocator that is not taken is not asked for a block.
    @usableFromInline
    static func refuseSecond() throws(AlreadyRegistered) {
        if let name = current({ $0.name }) { throw AlreadyRegistered(registered: name) }
    }

    @usableFromInline
    static func register(_ context: CAllocationContext) throws(AlreadyRegistered) {
        let opaque = Unmanaged.passRetained(context).toOpaque()
        if mallow_register_context(opaque) == 0 {
            Unmanaged<CAllocationContext>.fromOpaque(opaque).release()
            throw AlreadyRegistered(registered: current { $0.name } ?? "")
        }
    }

    /// Releases the allocator, and leaves it open. Does nothing where none is registered. For a moment at which no C
    /// code calls, on any thread.
    ///
    /// - Throws: ``LeakError`` where C code has blocks; the allocator stays registered then, so that they can be freed.
    public static func unregister() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        guard let context = mallow_registered_context() else { return }
        mallow_unregister_context()
        Unmanaged<CAllocationContext>.fromOpaque(context).release()
    }

    /// Whether an allocator is registered. Thread-safe.
    public static var isRegistered: Bool { mallow_registered_context() != nil }

    /// The blocks that C code has not freed, in usable bytes, or nil where there are none, or no allocator. Exact
    /// where no other thread calls at the moment.
    public static func findLeaks() -> LeakError? { current { $0.findLeaks() } ?? nil }

    @inline(__always)
    private static func current<Result>(_ body: (CAllocationContext) -> Result) -> Result? {
        guard let context = mallow_registered_context() else { return nil }
        return Unmanaged<CAllocationContext>.fromOpaque(context)._withUnsafeGuaranteedRef { body($0) }
    }

    @inline(never)
    private static func refuse(_ pointer: UnsafeMutableRawPointer) -> Never {
        misuse("RegisteredCAllocator", pointer, "came while no allocator is registered")
    }
}

// MARK: - The functions

extension RegisteredCAllocator {
    /// `malloc`: a block of at least `byteCount` bytes, aligned to 16, or NULL where it cannot be served, or no
    /// allocator is registered. Thread-safe where the allocator is, as every function here.
    public static func malloc(_ byteCount: Int) -> UnsafeMutableRawPointer? { current { $0.malloc(byteCount) } ?? nil }

    /// `free`; of NULL it does nothing. Traps where no allocator is registered, or where the allocator finds a block
    /// that is not live.
    public static func free(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { return }
        if current({ $0.free(pointer) }) == nil { refuse(pointer) }
    }

    /// `calloc`: a block of `count` times `byteCount` bytes, all zero, or NULL where it cannot be served, where the
    /// product overflows, or where no allocator is registered.
    public static func calloc(_ count: Int, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        current { $0.calloc(count, byteCount) } ?? nil
    }

    /// `realloc`, as ``CAllocator``'s: NULL where it cannot be served, and the old block is as it was then. Of a block,
    /// traps where no allocator is registered.
    public static func realloc(_ pointer: UnsafeMutableRawPointer?, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard let pointer else { return malloc(byteCount) }
        guard let result = current({ $0.realloc(pointer, byteCount) }) else { refuse(pointer) }
        return result
    }

    /// The bytes of a block that may be used, at least those that were asked for; 0 for NULL. Of a block, traps where
    /// no allocator is registered.
    public static func usableSize(_ pointer: UnsafeMutableRawPointer?) -> Int {
        guard let pointer else { return 0 }
        guard let result = current({ $0.usableSize(pointer) }) else { refuse(pointer) }
        return result
    }

    /// How many bytes a request is given: a library that asks for so many wastes none. Without an allocator, the
    /// request.
    public static func goodSize(_ byteCount: Int) -> Int { current { $0.goodSizeForC(byteCount) } ?? byteCount }

    // The same as C takes them.

    /// ``malloc(_:)`` as a C function pointer; the same at all times, with or without an allocator.
    public static var mallocFunction: Malloc { { RegisteredCAllocator.malloc($0) } }
    /// ``free(_:)`` as a C function pointer; the same at all times, with or without an allocator.
    public static var freeFunction: Free { { RegisteredCAllocator.free($0) } }
    /// ``calloc(_:_:)`` as a C function pointer; the same at all times, with or without an allocator.
    public static var callocFunction: Calloc { { RegisteredCAllocator.calloc($0, $1) } }
    /// ``realloc(_:_:)`` as a C function pointer; the same at all times, with or without an allocator.
    public static var reallocFunction: Realloc { { RegisteredCAllocator.realloc($0, $1) } }
    /// ``usableSize(_:)`` as a C function pointer; the same at all times, with or without an allocator.
    public static var usableSizeFunction: UsableSize { { RegisteredCAllocator.usableSize($0) } }
    /// ``goodSize(_:)`` as a C function pointer; the same at all times, with or without an allocator.
    public static var goodSizeFunction: GoodSize { { RegisteredCAllocator.goodSize($0) } }
}
