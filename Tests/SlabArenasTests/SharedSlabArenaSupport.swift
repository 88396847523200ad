// What the tests of shared arenas use: threads, a lock, marks in chunks.

import Foundation
import Mallow

@testable import ComposableAllocators
@testable import SlabArenas

/// Runs the body on so many threads at once, and waits for all.
func onSharingThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let done = DispatchSemaphore(value: 0)
    for index in 0..<count {
        let thread = Thread {
            body(index)
            done.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }
    for _ in 0..<count { done.wait() }
}

/// A value behind a lock that the thread sanitizer understands.
final class Guarded<Value>: @unchecked Sendable {
    private var value: Value
    private let lock = SharedLock()

    init(_ value: Value) { self.value = value }
    deinit { lock.destroy() }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        lock.acquire()
        defer { lock.release() }
        return body(&value)
    }
}

struct SharedChunk: @unchecked Sendable {
    var buffer: UnsafeMutableRawBufferPointer
    var id: UInt64
}

extension UnsafeMutableRawBufferPointer {
    /// Fills the buffer with what tells one life of a chunk from another: a word over and over, by libc's calls, since a
    /// loop over bytes is most of the time under a sanitizer.
    func mark(_ id: UInt64) {
        guard let start = baseAddress else { return }
        let word = id &* 0x9E37_79B9
        Swift.withUnsafeBytes(of: word) { start.copyMemory(from: $0.baseAddress!, byteCount: Swift.min(8, count)) }
        var filled = 8
        while filled < count {
            (start + filled).copyMemory(from: start, byteCount: Swift.min(filled, count - filled))
            filled *= 2
        }
    }

    func hasMark(_ id: UInt64) -> Bool {
        guard let start = baseAddress else { return true }
        let word = id &* 0x9E37_79B9
        return Swift.withUnsafeBytes(of: word) { memcmp(start, $0.baseAddress!, Swift.min(8, count)) } == 0
            && (count <= 8 || memcmp(start, start + 8, count - 8) == 0)
    }
}

/// A thread that does what it is given, while the caller waits.
final class Worker: @unchecked Sendable {
    private let start = DispatchSemaphore(value: 0)
    private let done = DispatchSemaphore(value: 0)
    private var job: (() -> Void)?
    private var isOver = false

    init() {
        let thread = Thread { [self] in
            while true {
                start.wait()
                job?()
                done.signal()
                if isOver { break }
            }
        }
        thread.start()
    }

    func callAsFunction<Result>(_ body: () -> Result) -> Result {
        var result: Result?
        let run: () -> Void = { result = body() }
        withoutActuallyEscaping(run) { escaping in
            job = escaping
            start.signal()
            done.wait()
            job = nil
        }
        return result!
    }

    func end() { self { isOver = true } }
}

/// Two threads that allocate from different ones of two shards.
func onTwoShards(_ body: (_ first: Worker, _ second: Worker) -> Void) {
    var workers: [Worker] = []
    func make(_ remainder: Int) -> Worker {
        while true {
            workers.append(Worker())
            if workers.last!({ ThreadNumbers.own() % 2 }) == remainder { return workers.last! }
        }
    }
    body(make(0), make(1))
    for worker in workers { worker.end() }
}
