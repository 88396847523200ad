// How many references were added and released: counted by each thread in a line of memory of its own.
//
// Layout: `ownLines` lines of 128 bytes, one for each of the first thread numbers, and `commonLines` for all others.
// T1. A thread's own line is written by it alone (N1), with plain loads and stores; the common ones are added to
//     atomically. The sum is exact where no thread counts at the moment, and never less than what the reader has seen
//     happen.
//
// A counter beside the chunk or in its shard would be a line that every core wants, and an atomic addition costs as
// much as the reference itself. Cost: a thread-local load, a comparison, and an addition in memory.

public import CMallowShims
import ComposableAllocators
public import Synchronization

@usableFromInline
struct ReferenceCounters: @unchecked Sendable {
    @usableFromInline
    struct Line: ~Copyable {
        @usableFromInline let added = Atomic<Int>(0)
        @usableFromInline let released = Atomic<Int>(0)
    }

    @inlinable @inline(__always)
    static var ownLines: Int { 64 }
    static var commonLines: Int { 16 }
    @inlinable @inline(__always)
    static var stride: Int { 128 }

    @usableFromInline let lines: UnsafeMutableRawPointer

    init() {
        lines = .allocate(byteCount: Self.byteCount, alignment: Self.stride)
        for index in 0..<Self.ownLines + Self.commonLines {
            (lines + index * Self.stride).bindMemory(to: Line.self, capacity: 1).initialize(to: Line())
        }
    }

    func free() { lines.deallocate() }

    static var byteCount: Int { (ownLines + commonLines) * stride }

    @inlinable @inline(__always)
    func line(_ index: Int) -> UnsafeMutablePointer<Line> {
        (lines + index &* Self.stride).assumingMemoryBound(to: Line.self)
    }

    /// The thread's own line, or nil where it has no number yet, or a high one.
    @inlinable @inline(__always)
    var ownLine: UnsafeMutablePointer<Line>? {
        // As unsigned, none is high.
        let index = mallow_thread_number() &- 1
        return UInt(bitPattern: index) < UInt(bitPattern: Self.ownLines) ? line(index) : nil
    }

    @inlinable @inline(__always)
    func countAdded() {
        guard let own = ownLine else { return countSlowly(added: 1, released: 0) }
        own.pointee.added.store(own.pointee.added.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    @inlinable @inline(__always)
    func countReleased() {
        guard let own = ownLine else { return countSlowly(added: 0, released: 1) }
        own.pointee.released.store(own.pointee.released.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    @usableFromInline @inline(never)
    func countSlowly(added: Int, released: Int) {
        let number = ThreadNumbers.own()
        let line = number <= Self.ownLines ? line(number - 1) : line(Self.ownLines + number % Self.commonLines)
        // The own line is this thread's alone, which may add to it in any way.
        line.pointee.added.wrappingAdd(added, ordering: .relaxed)
        line.pointee.released.wrappingAdd(released, ordering: .relaxed)
    }

    var sums: (added: Int, released: Int) {
        var sums = (added: 0, released: 0)
        for index in 0..<Self.ownLines + Self.commonLines {
            sums.added &+= line(index).pointee.added.load(ordering: .relaxed)
            sums.released &+= line(index).pointee.released.load(ordering: .relaxed)
        }
        return sums
    }
}
