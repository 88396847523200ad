// What a program that runs on Mallow's malloc can ask of it and tell it. The malloc itself is in the other targets of
// this product, which the linker takes whether or not a program imports this module.
//
// Cost: nothing unless called. Thread-safety: any thread, at any time.

#if os(Linux)
    import CMallowMalloc
    import MallocHeap
    import MallowABI
#endif

/// The malloc of this program: Mallow's, in a Linux program that has the product `MallowMalloc` among its target's
/// dependencies.
///
/// The same may be called where it is not (on other systems, and in builds under the address, thread and memory
/// sanitizers, which bring a malloc of their own): then `isMalloc` is false, the figures are those of an empty heap, and
/// nothing else has an effect.
///
/// In a file that imports the module `Mallow` as well, `Mallow` is this type. Its modules go by their own names there:
/// `AllocatorCore.Allocator`.
public enum Mallow {
    /// Whether `malloc` is Mallow's in this program.
    public static var isMalloc: Bool {
        #if os(Linux)
            return mallow_replaces_malloc() != 0
        #else
            return false
        #endif
    }

    /// The figures of the heap, of all threads together.
    ///
    /// For a health check or a metrics endpoint, a few times a second; not for a hot path. Other threads may allocate
    /// meanwhile: then each figure is one that was true at some moment, and two of them need not fit together.
    ///
    /// - Complexity: O(64 KiB pages in use): microseconds a megabyte of heap, some of it with the heap's locks held.
    public static var statistics: Statistics {
        #if os(Linux)
            return Statistics(Malloc.statistics())
        #else
            return Statistics()
        #endif
    }

    /// Gives all memory that is free back to the operating system, now: what `malloc_trim(0)` does.
    ///
    /// For a moment after which the program is idle for long, or just before it forks. Not after every request: what
    /// was free for `purgeDelay` goes back by itself, and memory that is needed again at once costs page faults.
    ///
    /// - Returns: whether anything was given back.
    /// - Complexity: O(pages with free memory), and the kernel's time for what goes: about a millisecond for 32 MiB.
    @discardableResult
    public static func trim() -> Bool {
        #if os(Linux)
            return Malloc.trim()
        #else
            return false
        #endif
    }

    /// How long free memory stays before it goes back to the operating system: 50 milliseconds, unless the environment
    /// (`MALLOW_PURGE_DELAY`) or the program says otherwise. `.zero` gives it back at once, which costs a program page
    /// faults when it allocates again.
    ///
    /// Rounded down to milliseconds; from 2^30 of them on, about twelve days, it counts as that. A negative duration
    /// traps. What waits already goes by the delay before.
    ///
    /// - Complexity: O(1).
    public static var purgeDelay: Duration {
        get {
            #if os(Linux)
                return .milliseconds(Int64(Malloc.purgeDelayInMilliseconds))
            #else
                return .zero
            #endif
        }
        set {
            precondition(newValue >= .zero, "Mallow.purgeDelay must not be negative")
            #if os(Linux)
                let parts = min(newValue, .seconds(1 << 21)).components
                let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
                Malloc.setPurgeDelay(milliseconds: UInt(milliseconds))
            #endif
        }
    }

    /// How much memory the program's blocks may take, in bytes, or nil for no limit, as it is unless the environment
    /// (`MALLOW_LIMIT`) or the program sets one.
    ///
    /// Beyond it `malloc` fails with `ENOMEM`, after all that is idle was given back. C code may go on without the
    /// block; the Swift runtime ends the program, which then ends here and not by the kernel's choice of a process. What
    /// the program has already stays. A negative limit traps.
    ///
    /// - Complexity: O(1). Takes a lock.
    public static var limit: Int? {
        get {
            #if os(Linux)
                return Int(exactly: Malloc.limit)
            #else
                return nil
            #endif
        }
        set {
            precondition(newValue ?? 0 >= 0, "Mallow.limit must not be negative")
            #if os(Linux)
                Malloc.setLimit(byteCount: newValue.map(UInt.init) ?? .max)
            #endif
        }
    }

    /// Writes the report of `MALLOW_STATS` to standard error: figures, and one line a size class. Allocates nothing.
    ///
    /// - Complexity: as `statistics`.
    public static func printStatistics() {
        #if os(Linux)
            mallowPrintStatistics()
        #endif
    }
}
