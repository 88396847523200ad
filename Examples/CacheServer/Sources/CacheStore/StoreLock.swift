// A mutex at an address that does not change. On Linux one that spins a little before it sleeps: the store is held for
// less than a microsecond at a time, and a sleep costs several.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

struct StoreLock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        #if canImport(Glibc)
            pthread_mutexattr_settype(&attributes, CInt(PTHREAD_MUTEX_ADAPTIVE_NP))
        #endif
        let status = pthread_mutex_init(mutex, &attributes)
        precondition(status == 0, "a mutex cannot be made: \(status)")
        pthread_mutexattr_destroy(&attributes)
    }

    @inline(__always)
    func acquire() { pthread_mutex_lock(mutex) }

    @inline(__always)
    func release() { pthread_mutex_unlock(mutex) }

    func destroy() {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }
}
