// The loops over what only some have (parts, loans, batches), over a whole allocator's life, and over the memory
// itself.

import BenchSupport
import CBenchSupport
import Glibc
import Mallow
import NIOCore

// MARK: - Parts and loans

/// A source whose blocks can be cut at their end.
protocol PartSource: AddressSource {
    /// Frees the rest of a block; the address may change.
    func keep(_ byteCount: Int, of block: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer
}

extension ScalableAllocator: PartSource {
    @inline(__always)
    func keep(_ byteCount: Int, of block: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        freeRest(of: block, keeping: byteCount).baseAddress.unsafelyUnwrapped
    }
}

extension Malloc: PartSource {
    @inline(__always)
    func keep(_ byteCount: Int, of block: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        realloc(block, byteCount).unsafelyUnwrapped
    }
}

/// Memory of 4,096 bytes, of which the first 1,000 are kept, then freed.
@inline(never)
func partialFree<S: PartSource>(_ source: S, _ input: Input) -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        let block = source.take(4096)
        use(block, step)
        let kept = source.keep(1000, of: block)
        bench_sink(kept)
        source.give(kept)
    }
    return bench_now() - start
}

@inline(never)
func borrow(_ source: ScalableAllocator, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for step in 0..<input.count {
        var memory = try source.borrow(byteCount: size)
        memory.withUnsafeMutableBytes { use($0.baseAddress.unsafelyUnwrapped, step) }
    }
    return bench_now() - start
}

// MARK: - Batches

/// A batch: so many bytes, so many times.
let batchCount = 10

@inline(never)
func recycleBatches(_ memory: inout RecyclableMemory, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for _ in 0..<input.count {
        for index in 0..<batchCount {
            use(try memory.allocate(byteCount: size).baseAddress.unsafelyUnwrapped, index)
        }
        memory.recycle()
    }
    return bench_now() - start
}

/// A mark lies behind one buffer that stays.
@inline(never)
func recycleMarkedBatches(_ memory: inout RecyclableMemory, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    _ = try memory.allocate(byteCount: size)
    let start = bench_now()
    for _ in 0..<input.count {
        let mark = memory.mark()
        for index in 0..<batchCount {
            use(try memory.allocate(byteCount: size).baseAddress.unsafelyUnwrapped, index)
        }
        memory.recycle(from: mark)
    }
    let elapsed = bench_now() - start
    memory.recycle()
    return elapsed
}

// MARK: - Lives of allocators

/// How an allocator is made.
typealias Making = () throws -> ScalableAllocator

@inline(never)
func makeAndDrop(_ make: Making, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for step in 0..<input.count {
        let source = try make()
        let block = source.take(size)
        use(block, step)
        source.give(block)
    }
    return bench_now() - start
}

/// A new allocator gets more and more to do.
@inline(never)
func grow(_ make: Making, _ input: Input) throws -> UInt64 {
    var elapsed: UInt64 = 0
    var part = input
    part.count = 1
    for _ in 0..<input.count {
        let start = bench_now()
        let source = try make()
        elapsed += bench_now() - start
        elapsed += Growing.run(source, part)
    }
    return elapsed
}

// MARK: - The memory

/// A page's size, or the distance at which its first bytes are written.
private let pageSize = 4096

@inline(never)
func firstTouch<S: AddressSource>(_ make: () throws -> S, _ input: Input) rethrows -> UInt64 {
    bench_malloc_keeps_no_large_blocks()
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for _ in 0..<input.count {
        let source = try make()
        let block = source.take(size)
        for offset in stride(from: 0, to: size, by: pageSize) { use(block + offset, offset) }
        source.give(block)
    }
    return bench_now() - start
}

@inline(never)
func readMemory(_ block: UnsafeRawPointer, _ input: Input) -> UInt64 {
    let count = Int(input.sizes.unsafelyUnwrapped[0]) / 8
    let start = bench_now()
    for _ in 0..<input.count {
        bench_sink(block)
        let words = block.assumingMemoryBound(to: UInt64.self)
        var sum: UInt64 = 0
        for index in 0..<count { sum &+= words[index] }
        bench_keep(sum)
    }
    return bench_now() - start
}

@inline(never)
func copyMemory(_ block: UnsafeMutableRawPointer, _ input: Input) -> UInt64 {
    let half = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for _ in 0..<input.count {
        memcpy(block + half, block, half)
        bench_sink(block)
    }
    return bench_now() - start
}
