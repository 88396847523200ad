// A small number for each thread: which shard of a shared allocator it allocates from, and which counters it writes.
//
// N1. No two living threads have the same number. A number that is given again was given back by a thread that ended,
//     under the lock, so that what that thread wrote is seen by the next.
//
// Cost: a thread-local load; a lock when a thread asks for the first time and when it ends.

import CMallowShims

/// The processors that the system has now.
package func processorCount() -> Int { max(sysconf(CInt(_SC_NPROCESSORS_ONLN)), 1) }

package final class ThreadNumbers: @unchecked Sendable {
    private static let shared = ThreadNumbers()

    private let lock = SharedLock()
    private var free: [Int] = []
    private var highest = 0
    private var key = pthread_key_t()
    private var hasKey = false

    private init() {
        // SAFETY: the key lives as long as the process, as this object does. Without keys left, the numbers of threads
        // that ended are not given again, and later threads share counters.
        hasKey = pthread_key_create(&key) { _ in ThreadNumbers.shared.giveBackOwn() } == 0
    }

    /// The thread's number, from 1: a new one where it has none.
    package static func own() -> Int {
        let number = mallow_thread_number()
        return number != 0 ? number : shared.take()
    }

    private func take() -> Int {
        lock.acquire()
        let number: Int
        if let last = free.popLast() {
            number = last
        } else {
            highest += 1
            number = highest
        }
        lock.release()
        mallow_set_thread_number(number)
        // What ends after this thread's number was given back, and asks once more, sets the key once more.
        if hasKey { pthread_setspecific(key, UnsafeMutableRawPointer(bitPattern: number)) }
        return number
    }

    private func giveBackOwn() {
        let number = mallow_thread_number()
        mallow_set_thread_number(0)
        guard number != 0 else { return }
        lock.acquire()
        free.append(number)
        lock.release()
    }
}
