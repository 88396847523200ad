// Allocators that the tests compose others of: each can do what its conformances say, and no more.

import Mallow
import Testing

/// Serves from the system, and keeps what it knows about its blocks beside them. What it can do is what the subclass or
/// wrapper conforms to; this one can do nothing but allocate and free.
final class PlainSource: Allocator {
    /// What every request is rounded up to.
    let granularity: Int
    /// Refuses the request of this number, counted from 0.
    var failingRequest: Int?
    var largest = Int.max
    private(set) var requests = 0
    private(set) var live: [UnsafeMutableRawPointer: Int] = [:]

    init(granularity: Int = 1) { self.granularity = granularity }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        defer { requests += 1 }
        if byteCount > largest {
            throw AllocationError(
                allocator: "PlainSource", byteCount: byteCount, alignment: alignment,
                reason: .tooLarge(limit: largest))
        }
        let rounded = goodSize(for: byteCount, alignment: alignment)
        if requests == failingRequest {
            throw AllocationError(
                allocator: "PlainSource", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        let block = try SystemAllocator().allocate(byteCount: rounded, alignment: alignment)
        live[block.baseAddress!] = rounded
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        precondition(live.removeValue(forKey: pointer) != nil, "PlainSource: not of this source")
        SystemAllocator().deallocate(pointer)
    }

    func goodSize(for byteCount: Int, alignment: Int) -> Int {
        byteCount > Int.max - granularity ? byteCount : (byteCount + granularity - 1) / granularity * granularity
    }

    func findLeaks() -> LeakError? {
        live.isEmpty
            ? nil : LeakError(allocator: "PlainSource", blocks: live.count, bytes: live.values.reduce(0, +))
    }

    /// Resizes within the granule that was allocated.
    func resizeInPlace(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard let size = live[pointer], byteCount <= size else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: size)
    }

    func freeEverything() { for pointer in live.keys { deallocate(pointer) } }
}

/// A source that can do everything.
struct AbleSource: OwningAllocator, SizeReportingAllocator, ResizableAllocator, ResettableAllocator {
    let source: PlainSource

    init(granularity: Int = 1) { source = PlainSource(granularity: granularity) }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try source.allocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { source.deallocate(pointer) }
    func goodSize(for byteCount: Int, alignment: Int) -> Int {
        source.goodSize(for: byteCount, alignment: alignment)
    }
    func findLeaks() -> LeakError? { source.findLeaks() }
    func owns(_ pointer: UnsafeRawPointer) -> Bool { source.live[UnsafeMutableRawPointer(mutating: pointer)] != nil }
    func byteCount(of pointer: UnsafeRawPointer) -> Int { source.live[UnsafeMutableRawPointer(mutating: pointer)]! }
    func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        source.resizeInPlace(pointer, byteCount: byteCount)
    }
    func freeAll() { source.freeEverything() }
}

/// A source that resizes and cannot tell anything about its blocks.
struct ResizingSource: ResizableAllocator, ResettableAllocator {
    let source: PlainSource

    init(granularity: Int = 1) { source = PlainSource(granularity: granularity) }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try source.allocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { source.deallocate(pointer) }
    func goodSize(for byteCount: Int, alignment: Int) -> Int {
        source.goodSize(for: byteCount, alignment: alignment)
    }
    func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        source.resizeInPlace(pointer, byteCount: byteCount)
    }
    func freeAll() { source.freeEverything() }
}

/// Allocates and frees at random against a model: alignment, contents, no overlap; `check` is called after each step
/// with the number and the bytes of the live blocks. Frees everything at the end.
func exercise<A: Allocator>(
    _ allocator: A, seed: UInt64, steps: Int = 600, largest: Int = 300, givesGoodSize: Bool = true,
    check: (_ blocks: Int, _ bytes: Int) -> Bool = { _, _ in true }
) {
    var random = SeededRandom(seed: seed)
    var live: [(block: UnsafeMutableRawBufferPointer, mark: UInt8)] = []
    var bytes = 0
    func free(at index: Int) {
        let (block, mark) = live.swapRemove(at: index)
        #expect(block.allSatisfy { $0 == mark }, "seed \(seed): contents changed")
        bytes -= block.count
        allocator.deallocate(block.baseAddress!)
    }
    for step in 0..<steps {
        if live.isEmpty || random.next() % 100 < (step / 100 % 2 == 0 ? 65 : 35) {
            let byteCount = Int(random.next() % UInt64(largest + 1))
            let alignment = random.next() % 8 == 0 ? 1 << Int(random.next() % 13) : 1 << Int(random.next() % 5)
            if let block = allocator.tryAllocate(byteCount: byteCount, alignment: alignment) {
                #expect(block.count >= byteCount)
                if givesGoodSize {
                    #expect(block.count >= allocator.goodSize(for: byteCount, alignment: alignment))
                }
                #expect(Int(bitPattern: block.baseAddress!) % alignment == 0)
                if allocator._tellsSizes { #expect(allocator._byteCount(of: block.baseAddress!) >= block.count) }
                if allocator._tellsOwn { #expect(allocator._owns(block.baseAddress!)) }
                let mark = UInt8(truncatingIfNeeded: random.next())
                block.initializeMemory(as: UInt8.self, repeating: mark)
                bytes += block.count
                live.append((block, mark))
            }
        } else {
            free(at: Int(random.next() % UInt64(live.count)))
        }
        if !check(live.count, bytes) {
            Issue.record("step \(step), seed \(seed): an invariant is broken")
            break
        }
    }
    while !live.isEmpty { free(at: live.count - 1) }
    #expect(check(0, 0))
}

extension Array {
    fileprivate mutating func swapRemove(at index: Int) -> Element {
        swapAt(index, count - 1)
        return removeLast()
    }
}

/// What an allocator throws for a request, or nil where it serves it.
func reason(_ allocator: any Allocator, _ byteCount: Int, _ alignment: Int = 8) -> AllocationError.Reason? {
    do throws(AllocationError) {
        allocator.deallocate(try allocator.allocate(byteCount: byteCount, alignment: alignment))
        return nil
    } catch { return error.reason }
}

/// Whether a program's output has the text in it.
func says(_ output: [UInt8]?, _ text: String) -> Bool { String(decoding: output ?? [], as: UTF8.self).contains(text) }
