// The standard library's mutex, with two things added.
//
// It tries for a while before it sleeps: on Linux a mutex that somebody sleeps on is handed over in the kernel, which
// takes several times as long as what is done under this lock. And it orders memory by an atomic word of its own as
// well: the mutex is compiled into the standard library, where the thread sanitizer does not see it. Both instructions
// are plain loads and stores on x86-64.
//
// Cost: two atomic exchanges. Not recursive.

import Synchronization

struct PoolLock: ~Copyable {
    private let mutex = Mutex(())
    private let order = Atomic<Int>(0)

    @inline(__always)
    borrowing func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        var outcome: Swift.Result<Result, Failure>?
        for _ in 0..<100 {
            mutex.withLockIfAvailable { _ in outcome = ordered(body) }
            if let outcome { return try outcome.get() }
        }
        mutex.withLock { _ in outcome = ordered(body) }
        return try outcome.unsafelyUnwrapped.get()
    }

    @inline(__always)
    private borrowing func ordered<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) -> Swift.Result<Result, Failure> {
        _ = order.load(ordering: .acquiring)
        defer { order.store(0, ordering: .releasing) }
        do throws(Failure) {
            return .success(try body())
        } catch {
            return .failure(error)
        }
    }
}
