// Threads of the platform, since an allocator may keep something for each of them, which tasks would not show.

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#endif

enum Threads {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Runs the body on so many threads at once, each with its number, and waits for all.
    static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let bodies = (0..<count).map { number in Body { body(number) } }
        let threads = bodies.map { start(Unmanaged.passUnretained($0).toOpaque()) }
        for thread in threads { pthread_join(thread, nil) }
        withExtendedLifetime(bodies) {}
    }

    /// Starts a thread that runs the body at the address.
    private static func start(_ argument: UnsafeMutableRawPointer) -> pthread_t {
        #if canImport(Darwin)
            var thread: pthread_t?
            let failure = pthread_create(&thread, nil, threadMain, argument)
            if failure == 0, let thread { return thread }
        #else
            var thread = pthread_t()
            let failure = pthread_create(&thread, nil, threadMain, argument)
            if failure == 0 { return thread }
        #endif
        fatalError("a thread could not be started: error \(failure)")
    }

    #if canImport(Darwin)
        private static let threadMain: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = {
            Unmanaged<Body>.fromOpaque($0).takeUnretainedValue().run()
            return nil
        }
    #else
        private static let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
            Unmanaged<Body>.fromOpaque($0!).takeUnretainedValue().run()
            return nil
        }
    #endif
}

/// A value behind the platform's lock: of the standard library's Mutex the thread sanitizer knows nothing, and reports
/// races where there are none.
final class Locked<Value>: @unchecked Sendable {
    private var value: Value
    private let lock: UnsafeMutablePointer<pthread_mutex_t>

    init(_ value: Value) {
        self.value = value
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        let failure = pthread_mutex_init(lock, nil)
        precondition(failure == 0, "a lock could not be made: error \(failure)")
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return try body(&value)
    }
}
