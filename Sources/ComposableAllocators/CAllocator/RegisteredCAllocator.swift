// One allocator for C libraries whose hooks take no context: the process has one place where it stands, a word of static
// storage. A call loads that word and then costs what a call with a context costs.

public import AllocatorCore
import CMallowShims

/// Functions shaped exactly as `malloc`, `free`, `calloc`, `realloc`, `malloc_usable_size` and `malloc_good_size`, over the
/// one allocator that is registered, for C libraries whose hooks take no context (SQLite, cJSON, …).
///
///     try RegisteredCAllocator.register(Synchronized(pool))
///     hooks.malloc_fn = RegisteredCAllocator.mallocFunction
///     hooks.free_fn = RegisteredCAllocator.freeFunction
///     …
///     try RegisteredCAllocator.unregister()
///
/// **Rules.** One allocator at a time: a second is refused. It is `Sendable`, since C code calls on any thread. Without
/// one, `malloc`, `calloc` and `realloc` of NULL return NULL, and a call with a block traps. Registering and unregistering
/// are for moments at which no C code allocates. For the rest see ``CAllocator``. Where two libraries share it, the blocks
/// of both count for ``unregister()``.
public enum RegisteredCAllocator {
    /// An allocator is registered already.
    public struct AlreadyRegistered: Error, Equatable, Sendable, CustomStringConvertible {
        /// The type of the one that is registered.
        public let registered: String

        public var description: String { "RegisteredCAllocator: an allocator is registered already (\(registered))" }
    }

    public typealias Malloc = @convention(c) (Int) -> UnsafeMutableRawPointer?
    public typealias Free = @convention(c) (UnsafeMutableRawPointer?) -> Void
    public typealias Calloc = @convention(c) (Int, Int) -> UnsafeMutableRawPointer?
    public typealias Realloc = @convention(c) (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer?
    public typealias UsableSize = @convention(c) (UnsafeMutableRawPointer?) -> Int
    public typealias GoodSize = @convention(c) (Int) -> Int

    /// Makes an allocator the one behind the functions, and keeps it until ``unregister()``.
    ///
    /// - Throws: ``AlreadyRegistered``; the one that is registered stays.
    @inlinable
    public static func register<A: Allocator & Sendable>(_ allocator: A) throws(AlreadyRegistered) {
        try register(CAllocationContext(allocator, isShared: true))
    }

    /// Registers an allocator that is not thread-safe, for libraries that promise to call their hooks one at a time: SQLite
    /// does while its memory statistics are on, which is the default. Nothing checks the promise.
    ///
    /// - Throws: ``AlreadyRegistered``; the one that is registered stays.
    @inlinable
    public static func registerUnchecked<A: Allocator>(_ allocator: A) throws(AlreadyRegistered) {
        try register(CAllocationContext(allocator, isShared: false))
    }

    @usableFromInline
    static func register(_ context: CAllocationContext) throws(AlreadyRegistered) {
        let opaque = Unmanaged.passRetained(context).toOpaque()
        if mallow_register_context(opaque) == 0 {
            Unmanaged<CAllocationContext>.fromOpaque(opaque).release()
            throw AlreadyRegistered(registered: current { $0.name } ?? "")
        }
    }

    /// Releases the allocator, and leaves it open. Does nothing where none is registered.
    ///
    /// - Throws: ``LeakError`` where C code has blocks; the allocator stays registered then, so that they can be freed.
    public static func unregister() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        guard let context = mallow_registered_context() else { return }
        mallow_unregister_context()
        Unmanaged<CAllocationContext>.fromOpaque(context).release()
    }

    /// Whether an allocator is registered.
    public static var isRegistered: Bool { mallow_registered_context() != nil }

    /// The blocks that C code has not freed, or nil where there are none. An allocator that keeps an account answers for
    /// all of its blocks.
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
    public static func malloc(_ byteCount: Int) -> UnsafeMutableRawPointer? { current { $0.malloc(byteCount) } ?? nil }

    public static func free(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { return }
        if current({ $0.free(pointer) }) == nil { refuse(pointer) }
    }

    public static func calloc(_ count: Int, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        current { $0.calloc(count, byteCount) } ?? nil
    }

    public static func realloc(_ pointer: UnsafeMutableRawPointer?, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard let pointer else { return malloc(byteCount) }
        guard let result = current({ $0.realloc(pointer, byteCount) }) else { refuse(pointer) }
        return result
    }

    /// The bytes of a block that may be used; 0 for NULL.
    public static func usableSize(_ pointer: UnsafeMutableRawPointer?) -> Int {
        guard let pointer else { return 0 }
        guard let result = current({ $0.usableSize(pointer) }) else { refuse(pointer) }
        return result
    }

    /// How many bytes a request is given.
    public static func goodSize(_ byteCount: Int) -> Int { current { $0.goodSizeForC(byteCount) } ?? byteCount }

    // The same as C takes them.
    public static var mallocFunction: Malloc { { RegisteredCAllocator.malloc($0) } }
    public static var freeFunction: Free { { RegisteredCAllocator.free($0) } }
    public static var callocFunction: Calloc { { RegisteredCAllocator.calloc($0, $1) } }
    public static var reallocFunction: Realloc { { RegisteredCAllocator.realloc($0, $1) } }
    public static var usableSizeFunction: UsableSize { { RegisteredCAllocator.usableSize($0) } }
    public static var goodSizeFunction: GoodSize { { RegisteredCAllocator.goodSize($0) } }
}
