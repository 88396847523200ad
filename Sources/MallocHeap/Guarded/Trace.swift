// Where a block was allocated or freed: return addresses, innermost first, taken without allocating, without locks and
// without unwind tables.
//
// The first one is certain: whoever called `malloc`. Those above come from the chain of frame pointers, which Swift
// keeps and C compilers may not. A chain that is none leads anywhere: so each record must lie above the last, within
// `reach`, and on memory that can be read, of which the kernel is asked once for each OS page. Where the chain breaks
// off early, what is left of the room is filled with the words of the stack behind the first frame: those of them that
// turn out to be return addresses, when somebody looks, are the likely callers (`operator new`'s caller, above all).
//
//   in memory:  count | certain | count words            `certain` of them come from the chain
//
// Cost: some tens of nanoseconds, and a system call for each further OS page of the stack.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// A trace is an address, of `byteCount` bytes.
enum Trace {
    static let byteCount: UInt = 224
    static let capacity: UInt32 = 26

    static func count(_ trace: UInt) -> UInt32 { UnsafePointer<UInt32>(at: trace).pointee }
    static func certain(_ trace: UInt) -> UInt32 { UnsafePointer<UInt32>(at: trace &+ 4).pointee }
    static func word(_ trace: UInt, _ index: UInt32) -> UInt { loadWord(trace &+ 8 &+ UInt(index) &* 8) }

    /// No larger frame is believed in.
    private static let reach: UInt = 256 << 10
    /// A chain of fewer is taken to have been broken off.
    private static let fewest: UInt32 = 4
    /// So many words behind the first frame may hold a caller.
    private static let wordLimit: UInt32 = 16

    /// Records the callers of the function whose frame record is at `frame`.
    static func take(_ trace: UInt, frame: UInt) {
        var reader = StackReader(frame)
        storeWord(trace &+ 8, loadWord(frame &+ 8))
        let count = 1 &+ walk(into: trace, from: loadWord(frame), above: frame, count: 1, &reader)
        finish(trace, count, stack: frame &+ 16, &reader)
    }

    /// Records where a thread is, from its registers.
    static func take(_ trace: UInt, instruction: UInt, frame: UInt, stack: UInt) {
        var reader = StackReader(0)
        storeWord(trace &+ 8, instruction)
        let count = 1 &+ walk(into: trace, from: frame, above: stack &- 1, count: 1, &reader)
        finish(trace, count, stack: stack & ~7, &reader)
    }

    /// Follows the chain from the record at `first`; how many words it added.
    private static func walk(
        into trace: UInt, from first: UInt, above lower: UInt, count: UInt32, _ reader: inout StackReader
    ) -> UInt32 {
        var lower = lower
        var frame = first
        var added: UInt32 = 0
        while count &+ added < capacity, frame > lower, frame &- lower < reach, frame & 15 == 0 {
            guard reader.canRead(frame) else { break }
            let word = loadWord(frame &+ 8)
            if word < 4096 { break }
            storeWord(trace &+ 8 &+ UInt(count &+ added) &* 8, word)
            added &+= 1
            lower = frame
            frame = loadWord(frame)
        }
        return added
    }

    private static func finish(_ trace: UInt, _ certain: UInt32, stack: UInt, _ reader: inout StackReader) {
        var count = certain
        if certain < fewest {
            var word = stack
            let end = min(capacity, certain &+ wordLimit)
            while count < end, reader.canRead(word) {
                storeWord(trace &+ 8 &+ UInt(count) &* 8, loadWord(word))
                count &+= 1
                word &+= 8
            }
        }
        UnsafeMutablePointer<UInt32>(at: trace).pointee = count
        UnsafeMutablePointer<UInt32>(at: trace &+ 4).pointee = certain
    }
}

/// Tells whether words of a stack can be read, asking the kernel once for each OS page.
private struct StackReader {
    /// Known to be readable. No OS page is smaller than 4 KiB.
    private var page: UInt

    init(_ address: UInt) { page = address &>> 12 }

    mutating func canRead(_ address: UInt) -> Bool {
        if address &>> 12 == page { return true }
        guard SystemMemory.isReadable(address) else { return false }
        page = address &>> 12
        return true
    }
}

extension UnsafePointer where Pointee == UInt32 {
    fileprivate init(at address: UInt) {
        self = UnsafePointer(bitPattern: address).unsafelyUnwrapped
    }
}
