// How a slab arena can be made, which chunk sizes come of it, and the arithmetic from an address to its chunk.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabConfigurationTests {
    static let factors = [1.05, 1.1, 1.25, 2, 4, 16.7, 1e300]

    private func arena(_ start: Int, _ slabSize: Int, _ factor: Double, _ alignment: Int = 1) throws -> SlabArena {
        try SlabArena(
            startChunkSize: start, slabSize: slabSize, growthFactor: factor, alignment: alignment,
            upstream: SystemAllocator())
    }

    // MARK: - Chunk sizes

    @Test(arguments: factors, [1, 3, 64, 1000, 4096])
    func sizesRiseByTheFactor(factor: Double, start: Int) throws {
        for (slabSize, alignment) in [(4096, 1), (8192, 8), (65536, 16), (10_000, 1), (12_288, 4096)] {
            let sizes = try arena(start, slabSize, factor, alignment).chunkSizes
            #expect(sizes.first == (start + alignment - 1) / alignment * alignment)
            #expect(sizes.last == slabSize)
            for (size, next) in zip(sizes, sizes.dropFirst()) {
                #expect(next > size && next % alignment == 0)
                // By the factor, rounded up to a byte and then to the alignment; the last may be cut off.
                #expect(Double(next) < Double(size) * factor + 1 + Double(alignment) || size + alignment == next)
                #expect(Double(next) >= Double(size) * factor || next == slabSize)
            }
        }
    }

    /// The first class that is large enough, for every size that there is.
    @Test(arguments: factors, [1, 3, 64, 1000, 4096])
    func aRequestTakesTheFirstClassThatIsLargeEnough(factor: Double, start: Int) throws {
        for (slabSize, alignment) in [(4096, 1), (8192, 8), (10_000, 1)] {
            let arena = try arena(start, slabSize, factor, alignment)
            let sizes = arena.chunkSizes
            var index = 0
            for byteCount in 0...slabSize {
                while sizes[index] < byteCount { index += 1 }
                if arena.sizes.classIndex(byteCount) != index || arena.sizes.classIndexByHalving(byteCount) != index {
                    Issue.record("\(byteCount) bytes: class \(arena.sizes.classIndex(byteCount)), not \(index)")
                    return
                }
            }
            // Requests near every boundary are given what is said beforehand.
            for size in sizes.filter({ $0 < 6000 || $0 == slabSize }).suffix(40) {
                let chunk = try arena.allocate(byteCount: size, alignment: alignment)
                #expect(chunk.count == size)
                #expect(Int(bitPattern: chunk.baseAddress!) % alignment == 0)
                #expect(arena.goodSize(for: size, alignment: alignment) == size)
                #expect(arena.goodSize(for: size - 1, alignment: alignment) == sizes.first { $0 >= size - 1 })
                arena.release(chunk)
            }
            try arena.close()
        }
    }

    @Test(arguments: factors) func exactlyTheSlabSizeSucceedsAndMoreThrows(factor: Double) throws {
        for slabSize in [1, 2, 3, 7, 8, 15, 16, 17, 24, 1000, 4096, 4097, 65536, 100_001] {
            for start in [1, 8, slabSize] where start <= slabSize {
                let arena = try arena(start, slabSize, factor)
                for round in 0..<2 {
                    let chunk = try arena.allocateChunk(byteCount: slabSize)
                    chunk.initializeMemory(as: UInt8.self, repeating: UInt8(round + 1))
                    let other = try arena.allocate(byteCount: slabSize, alignment: 1)
                    other.initializeMemory(as: UInt8.self, repeating: 9)
                    #expect(chunk.count == slabSize && other.count == slabSize)
                    #expect(chunk.allSatisfy { $0 == round + 1 })
                    arena.checkInvariants()
                    arena.release(chunk)
                    arena.release(other)
                }
                #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: slabSize + 1) }
                #expect(arena.tryAllocate(byteCount: slabSize + 1, alignment: 1) == nil)
                #expect(arena.tryAllocate(byteCount: .max, alignment: 1) == nil)
                #expect(arena.goodSize(for: slabSize + 1, alignment: 1) == slabSize + 1)
                try arena.close()
            }
        }
    }

    @Test func anErrorSaysWhatTheArenaOffers() throws {
        let arena = try arena(64, 4096, 2, 16)
        func reason(_ byteCount: Int, _ alignment: Int) -> AllocationError.Reason? {
            do throws(AllocationError) {
                arena.release(try arena.allocate(byteCount: byteCount, alignment: alignment))
                return nil
            } catch { return error.reason }
        }
        #expect(reason(4097, 8) == .tooLarge(limit: 4096))
        #expect(reason(.max, 1) == .tooLarge(limit: 4096))
        #expect(reason(8, 32) == .unsupportedAlignment(limit: 16))
        #expect(reason(8, 3) == .invalidAlignment)
        #expect(reason(8, 0) == .invalidAlignment)
        #expect(reason(8, -8) == .invalidAlignment)
        #expect(reason(8, .min) == .invalidAlignment)
        #expect(reason(8, 16) == nil)
    }

    /// Zero bytes is a request as any other: each has a chunk of its own.
    @Test func zeroBytes() throws {
        let arena = try arena(1, 64, 2)
        let chunks = try (0..<100).map { _ in try arena.allocateChunk(byteCount: 0) }
        #expect(Set(chunks.map { $0.baseAddress! }).count == 100)
        #expect(chunks.allSatisfy { $0.count == 0 })
        for chunk in chunks {
            let location = arena.location(of: chunk)
            #expect(!location.isNil && location.count == 0)
            #expect(arena.buffer(at: location)?.baseAddress == chunk.baseAddress)
            #expect(arena.release(chunk))
        }
        try arena.close()
    }

    @Test(arguments: [1, 2, 4, 8, 16, 64, 512, 4096]) func everyChunkIsAligned(alignment: Int) throws {
        for slabSize in [alignment, alignment * 3, 3 << 12, 1 << 16] where slabSize % alignment == 0 {
            let arena = try arena(1, slabSize, 1.3, alignment)
            var chunks: [UnsafeMutableRawBufferPointer] = []
            for size in arena.chunkSizes {
                for _ in 0..<5 {
                    let chunk = try arena.allocate(byteCount: size, alignment: alignment)
                    #expect(Int(bitPattern: chunk.baseAddress!) % alignment == 0)
                    chunk.initializeMemory(as: UInt8.self, repeating: 0xa5)
                    chunks.append(chunk)
                }
            }
            arena.checkInvariants()
            for chunk in chunks { arena.release(chunk) }
            try arena.close()
        }
    }

    // MARK: - What is refused

    private func refusedArgument(_ make: () throws -> SlabArena) -> String? {
        do {
            _ = try make()
            return nil
        } catch { return (error as? ConfigurationError)?.argument }
    }

    @Test(arguments: [1, 0.999, 0, -0.0, -2, .nan, .infinity, -.infinity, .signalingNaN, 1 - .ulpOfOne] as [Double])
    func factorsThatAreNone(factor: Double) {
        #expect(refusedArgument { try arena(64, 4096, factor) } == "growthFactor")
    }

    @Test func factorsThatMakeTooManyClasses() throws {
        #expect(refusedArgument { try arena(1, 1 << 20, 1.0000001) } == "growthFactor")
        #expect(refusedArgument { try arena(1, 1 << 20, 1 + .ulpOfOne) } == "growthFactor")
        #expect(refusedArgument { try arena(1, 65536, 1 + .ulpOfOne) } == "growthFactor")
        // As many as can be, one for each byte.
        let most = try arena(1, 65535, 1 + .ulpOfOne)
        #expect(most.chunkSizes == Array(1...65535))
        for size in [1, 2, 1023, 1024, 1025, 40_000, 65_534, 65_535] {
            let chunk = try most.allocate(byteCount: size, alignment: 1)
            #expect(chunk.count == size)
            most.release(chunk)
        }
        // The alignment makes them fewer.
        #expect(try arena(8, 65536, 1.0000001, 8).chunkSizes.count == 8192)
    }

    @Test func sizesThatAreNone() {
        #expect(refusedArgument { try arena(0, 4096, 2) } == "startChunkSize")
        #expect(refusedArgument { try arena(-1, 4096, 2) } == "startChunkSize")
        #expect(refusedArgument { try arena(.min, 4096, 2) } == "startChunkSize")
        #expect(refusedArgument { try arena(4097, 4096, 2) } == "startChunkSize")
        #expect(refusedArgument { try arena(.max, 4096, 2) } == "startChunkSize")
        #expect(refusedArgument { try arena(1, 0, 2) } == "slabSize")
        #expect(refusedArgument { try arena(1, -4096, 2) } == "slabSize")
        #expect(refusedArgument { try arena(1, 1 << 31 + 1, 2) } == "slabSize")
        #expect(refusedArgument { try arena(1, .max, 2) } == "slabSize")
        #expect(refusedArgument { try arena(1, 100, 2, 8) } == "slabSize")
        #expect(refusedArgument { try arena(1, 8, 2, 16) } == "slabSize")
        for alignment in [0, 3, -8, .min, .max] {
            #expect(refusedArgument { try arena(1, 4096, 2, alignment) } == "alignment")
        }
    }

    // MARK: - The reciprocal

    /// A header by which offsets are divided by a chunk size.
    private func withDivider<Result>(_ body: (SlabReference) throws -> Result) rethrows -> Result {
        let header = SlabReference.allocate(capacity: 1)
        header.initialize(to: SlabHeader.none.pointee)
        defer { header.deallocate() }
        return try body(header)
    }

    /// Every chunk size of small slabs, and every offset that can be asked about.
    @Test func divisionIsExactForSmallSlabs() {
        withDivider { header in
            for chunkSize in 1...700 {
                header.pointee.reciprocal = SlabHeader.reciprocal(of: chunkSize)
                var (index, rest) = (0, 0)
                for offset in 0..<1024 {
                    if header.chunkIndex(offset: UInt(offset)) != index {
                        Issue.record("\(offset) / \(chunkSize): \(header.chunkIndex(offset: UInt(offset)))")
                        return
                    }
                    rest += 1
                    if rest == chunkSize { (index, rest) = (index + 1, 0) }
                }
            }
        }
    }

    /// The edges of chunks, up to the largest slab, and all offsets that a made-up location can have.
    ///
    /// With r = 2^63 / c + e, where 0 < e <= 1, the product is offset / c + offset * e / 2^63. It is rounded down to
    /// the quotient if the second part is less than 1 / c: if offset * c < 2^63, as it is for offsets below 2^32 and
    /// chunks up to 2^31.
    @Test func divisionIsExactAtTheLimits() {
        var random = SeededGenerator(seed: 3)
        var sizes: Set<Int> = []
        for shift in 0...31 {
            for size in [1 << shift - 1, 1 << shift, 1 << shift + 1] where (1...1 << 31).contains(size) {
                sizes.insert(size)
            }
            for _ in 0..<60 { sizes.insert(Int.random(in: 1...1 << shift, using: &random)) }
        }
        withDivider { header in
            for size in sizes {
                header.pointee.reciprocal = SlabHeader.reciprocal(of: size)
                let last = (1 << 32 - 1) / size
                var indices = [0, 1, 2, last - 1, last, (1 << 31) / size, (1 << 31) / size - 1]
                for _ in 0..<8 { indices.append(Int.random(in: 0...last, using: &random)) }
                for index in indices where index >= 0 {
                    for offset in [index * size - 1, index * size, index * size + size / 2, index * size + size - 1] {
                        guard (0..<1 << 32).contains(offset) else { continue }
                        if header.chunkIndex(offset: UInt(offset)) != offset / size {
                            Issue.record("\(offset) / \(size): \(header.chunkIndex(offset: UInt(offset)))")
                            return
                        }
                    }
                }
                #expect(header.chunkIndex(offset: 1 << 32 - 1) == (1 << 32 - 1) / size)
            }
        }
    }

    /// The largest slab: untouched pages of it cost nothing.
    @Test func aSlabOfTwoGibibytes() throws {
        let arena = try SlabArena(
            startChunkSize: 1 << 29, slabSize: 1 << 31, growthFactor: 4, upstream: PageAllocator())
        #expect(arena.chunkSizes == [1 << 29, 1 << 31])
        let whole = try arena.allocateChunk(byteCount: 1 << 31)
        whole[0] = 1
        whole[1 << 31 - 1] = 2
        let end = UnsafeMutableRawBufferPointer(rebasing: whole[(1 << 31 - 1)...])
        let location = arena.location(of: end)
        #expect(location.count == 1 && arena.buffer(at: location)?.first == 2)
        #expect(arena.byteCount(of: end.baseAddress!) == 1 << 31)
        #expect(arena.location(of: whole).slice(1 << 31 - 1..<1 << 31) == location)
        #expect(!arena.owns(whole.baseAddress! + 1 << 31))
        arena.checkInvariants()
        #expect(arena.release(end))
        let quarters = try (0..<4).map { _ in try arena.allocateChunk(byteCount: 1 << 29) }
        for quarter in quarters {
            quarter[1 << 29 - 1] = 3
            let location = arena.location(of: quarter)
            #expect(arena.buffer(at: location)?.baseAddress == quarter.baseAddress)
            #expect(arena.buffer(at: location.slice(1 << 29 - 1..<1 << 29))?.first == 3)
        }
        var visited: Set<UInt32> = []
        arena.forEachLiveChunk { visited.insert($0.position) }
        #expect(visited == [0, 1 << 29, 1 << 30, 3 << 29])
        arena.checkInvariants()
        for quarter in quarters { arena.release(quarter) }
        try arena.close()
    }
}
