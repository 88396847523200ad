// What a Box consists of: the address of its value, its allocator, and who knows how to give both back.
//
// A deinit of a generic noncopyable struct cannot be relied on. With Swift 6.3 code of another module that does not
// know the concrete type destroys through the value witness, which forgets the deinit where
// - (debug) all stored properties are trivial: the runtime takes the whole type for trivial;
// - (release) the layout depends on a generic parameter: the witness destroys the properties one by one instead.
// BoxOwner is not generic: its deinit runs in both. It finds the types again by a class's metatype, one word, so that a
// Box needs no closure and no second block. That call ends in unspecialised code, 20 ns; so Box has a deinit
// nevertheless, which the compiler specialises, and which disarms its owner. Where that one is lost, the owner's is
// not.
//
// Layout: an allocator of at most a word (a class, or an allocator without state) lies in `allocator`; a larger one in
// the block, in front of the value:
//
//     block ──► │ A │ padding to Value's alignment │ Value │      otherwise      block ──► │ Value │
//                                            value ┘                            value ┘
//
// I1. `value` is initialised, and is of the type that `contents` destroys.
// I2. `value - BoxLayout.offset` is a live block of the allocator, and was not given to anyone else.

public import AllocatorCore

/// Where the parts of a box lie: constants where the types are known.
@frozen @usableFromInline
enum BoxLayout<Value: ~Copyable, A: Allocator> {
    @inlinable @inline(__always)
    static var allocatorFitsWord: Bool {
        MemoryLayout<A>.size <= MemoryLayout<UInt>.size && MemoryLayout<A>.alignment <= MemoryLayout<UInt>.alignment
    }

    @inlinable @inline(__always)
    static var alignment: Int {
        allocatorFitsWord
            ? MemoryLayout<Value>.alignment : max(MemoryLayout<Value>.alignment, MemoryLayout<A>.alignment)
    }

    /// From the block's base to the value, in bytes.
    @inlinable @inline(__always)
    static var offset: Int {
        let mask = MemoryLayout<Value>.alignment &- 1
        return allocatorFitsWord ? 0 : (MemoryLayout<A>.size &+ mask) & ~mask
    }

    @inlinable @inline(__always)
    static var byteCount: Int { offset &+ MemoryLayout<Value>.size }

    /// Copies the allocator to where it stays for the life of the box: to the block, or to the word that is returned.
    @inlinable @inline(__always)
    static func store(_ allocator: A, inBlockOf value: UnsafeMutableRawPointer) -> UInt {
        var word: UInt = 0
        if allocatorFitsWord {
            withUnsafeMutableBytes(of: &word) {
                _ = $0.baseAddress.unsafelyUnwrapped.initializeMemory(as: A.self, to: allocator)
            }
        } else {
            (value - offset).initializeMemory(as: A.self, to: allocator)
        }
        return word
    }

    /// The allocator, with what `store` retained.
    @inlinable @inline(__always)
    static func takeAllocator(_ word: UInt, inBlockOf value: UnsafeMutableRawPointer) -> A {
        var word = word
        return if allocatorFitsWord {
            withUnsafeMutableBytes(of: &word) {
                $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: A.self).move()
            }
        } else {
            (value - offset).assumingMemoryBound(to: A.self).move()
        }
    }

    @inlinable @inline(__always)
    static func copyAllocator(_ word: UInt, inBlockOf value: UnsafeMutableRawPointer) -> A {
        var word = word
        return if allocatorFitsWord {
            withUnsafeMutableBytes(of: &word) {
                $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: A.self).pointee
            }
        } else {
            (value - offset).assumingMemoryBound(to: A.self).pointee
        }
    }

    @inlinable @inline(__always)
    static func destroy(_ value: UnsafeMutableRawPointer, allocator: UInt) {
        let allocator = takeAllocator(allocator, inBlockOf: value)
        value.assumingMemoryBound(to: Value.self).deinitialize(count: 1)
        allocator.deallocate(value - offset)
    }
}

/// Knows the types of a box by being a subclass; there are no instances.
@usableFromInline
class BoxContents {
    @inlinable
    class func destroy(_ value: UnsafeMutableRawPointer, allocator: UInt) {
        fatalError("Box: its contents have no type")
    }

    @usableFromInline
    init() { fatalError("Box: BoxContents has no instances") }
}

@usableFromInline
final class TypedBoxContents<Value: ~Copyable, A: Allocator>: BoxContents {
    @inlinable
    override class func destroy(_ value: UnsafeMutableRawPointer, allocator: UInt) {
        BoxLayout<Value, A>.destroy(value, allocator: allocator)
    }
}

/// The part of a box that owns.
@frozen @usableFromInline
struct BoxOwner: ~Copyable {
    /// Nil when the value was taken, or destroyed.
    @usableFromInline var value: UnsafeMutableRawPointer?
    @usableFromInline let allocator: UInt
    @usableFromInline let contents: BoxContents.Type

    @inlinable @inline(__always)
    init(value: UnsafeMutableRawPointer, allocator: UInt, contents: BoxContents.Type) {
        self.value = value
        self.allocator = allocator
        self.contents = contents
    }

    @inlinable @inline(__always)
    deinit {
        if let value { contents.destroy(value, allocator: allocator) }
    }

    /// Ends the owner and the ownership: the caller frees.
    @inlinable @inline(__always)
    consuming func end() -> (value: UnsafeMutableRawPointer, allocator: UInt)? {
        let parts = value.map { ($0, allocator) }
        discard self
        return parts
    }

    /// Ends the ownership: the caller frees.
    @inlinable @inline(__always)
    mutating func relinquish() -> (value: UnsafeMutableRawPointer, allocator: UInt)? {
        guard let value else { return nil }
        self.value = nil
        return (value, allocator)
    }
}
