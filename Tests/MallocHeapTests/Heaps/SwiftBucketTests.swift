// Buckets as allocators: the contract, blocks of exactly a type's size, boxes whose values end once, and threads.

import AllocatorCore
import AllocatorTestKit
import ComposableAllocators
import Heaps
import MallocHeap
import Synchronization
import Testing

private struct Triple: Equatable {
    var first = 1
    var second = 2
    var third = 3
}

private struct Five {
    var values: InlineArray<5, Int> = [1, 2, 3, 4, 5]
}

private struct Thirty {
    var values = InlineArray<30, Int>(repeating: 7)
}

private struct Wide {
    var values = InlineArray<5000, Int>(repeating: 9)
}

private struct Vector {
    var lanes = SIMD16<Float>(repeating: 1)
    var tag = 1
}

private struct Empty: ~Copyable {}

/// Counts its ends.
private struct Token: ~Copyable, Sendable {
    static let ended = Atomic(0)
    let number: Int
    let other = (1, 2)

    deinit { Token.ended.wrappingAdd(1, ordering: .relaxed) }
}

private func usableSize(_ pointer: UnsafeMutableRawPointer) -> UInt { Malloc.usableSize(pointer) }

extension HeapTests {
    @Suite(.serialized) struct SwiftBuckets {
        @Test func keepsTheContract() throws {
            try checkAllocator(seed: 1, steps: 200) { Bucket<Triple>() }
            try checkAllocator(seed: 2, sequences: 2, steps: 100) { Bucket<Thirty>() }
            try checkAllocator(seed: 3, sequences: 2, steps: 100) { Bucket<Vector>() }
            try checkAllocator(seed: 4, sequences: 2, steps: 100) { Bucket<Empty>() }
            try checkAllocator(seed: 5, sequences: 2, steps: 50, maximumByteCount: 1 << 16) { Bucket<Wide>() }
        }

        @Test func keepsTheContractAmongThreads() throws {
            try checkSharedAllocator(maximumByteCount: 24, traits: .with { $0.largestByteCount = 24 }) {
                Bucket<Triple>()
            }
        }

        @Test func blocksHaveTheSizeOfTheType() throws {
            func expect<Value: ~Copyable>(_ bucket: Bucket<Value>, _ granted: UInt, alignment: Int) throws {
                let pointers = try (0..<200).map { _ in try bucket.allocate() }
                #expect(pointers.allSatisfy { usableSize($0) == granted && Int(bitPattern: $0) % alignment == 0 })
                for pointer in pointers { bucket.deallocate(pointer) }
            }
            try expect(Bucket<Triple>(), 24, alignment: 8)
            try expect(Bucket<Five>(), 40, alignment: 8)
            try expect(Bucket<Thirty>(), 240, alignment: 16)
            try expect(Bucket<Vector>(), 80, alignment: 16)
            try expect(Bucket<UInt8>(), 8, alignment: 8)
            try expect(Bucket<Empty>(), 8, alignment: 8)
            try expect(Bucket<Wide>(), 40_960, alignment: 4096)
            #expect(MemoryLayout<Bucket<Wide>>.size == 8)
            // Either frees what the other gave.
            SharedHeap().deallocate(try Bucket<Token>().allocate())
            Bucket<Triple>().deallocate(try Bucket<Token>().allocate())
        }

        @Test func valuesKeepTheirContents() throws {
            let bucket = Bucket<Triple>()
            let pointers = try (0..<5000).map { index in
                try bucket.allocate(initializingTo: Triple(first: index, second: -index, third: index * 3))
            }
            for (index, pointer) in pointers.enumerated() where index % 2 == 0 {
                bucket.deinitializeAndDeallocate(pointer)
            }
            for (index, pointer) in pointers.enumerated() where index % 2 == 1 {
                #expect(pointer.pointee == Triple(first: index, second: -index, third: index * 3))
                bucket.deinitializeAndDeallocate(pointer)
            }
        }

        /// Boxes that end by scope, by taking, by replacing, and on other threads.
        @Test func boxesEndOnce() throws {
            let bucket = Bucket<Token>()
            let start = Token.ended.load(ordering: .relaxed)
            func ended() -> Int { Token.ended.load(ordering: .relaxed) - start }
            do {
                var box = try Box(Token(number: 1), in: bucket)
                #expect(box.value.number == 1)
                #expect(box.withUnsafePointer { usableSize(UnsafeMutableRawPointer(mutating: $0)) } == 24)
                _ = box.replace(with: Token(number: 2))
                #expect(ended() == 1)
                let token = box.take()
                #expect(token.number == 2 && ended() == 1)
            }
            #expect(ended() == 2)
            do {
                let leaked = try Box(Token(number: 3), in: bucket).leak()
                #expect(ended() == 2)
                _ = Box(adopting: leaked, in: bucket)
            }
            #expect(ended() == 3)
            #expect(MemoryLayout<Box<Token, Bucket<Token>>>.size == 24)
        }

        @Test func boxesEndOnOtherThreads() async throws {
            let bucket = Bucket<Five>()
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for task in 0..<8 {
                    let box = try Box(Five(values: .init(repeating: task)), in: bucket)
                    let pointer = UInt(bitPattern: box.leak())
                    group.addTask {
                        var sum = 0
                        for _ in 0..<500 {
                            let own = try Box(Five(values: .init(repeating: task)), in: bucket)
                            sum += own.value.values[4]
                        }
                        guard let theirs = UnsafeMutablePointer<Five>(bitPattern: pointer) else { return -1 }
                        let handed = Box(adopting: theirs, in: bucket)
                        return sum + handed.value.values[0]
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 28 * 501)
        }

        @Test func whatATypeIsTooLargeForIsRefused() {
            let bucket = Bucket<Triple>()
            #expect(bucket.tryAllocate(byteCount: 25, alignment: 8) == nil)
            #expect(bucket.tryAllocate(byteCount: 24, alignment: 16) == nil)
            #expect(bucket.tryAllocate(byteCount: 24, alignment: 3) == nil)
            #expect(throws: AllocationError.self) { try bucket.allocate(byteCount: 25, alignment: 1) }
        }
    }
}
