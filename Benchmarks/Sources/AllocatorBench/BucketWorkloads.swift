// A million values of one type, freed in random order: buckets beside malloc, Mallow's malloc and pools, in time and in
// resident memory. Mallow's malloc is here a `SharedHeap`, which also looks up what a block holds. The sizes: 24 and 40
// bytes, which a malloc rounds up, and 240, which Mallow's has exactly.

import BenchSupport
import CBenchSupport
import Foundation
import Mallow

struct Bytes24 { var words = InlineArray<3, Int>(repeating: 0) }
struct Bytes40 { var words = InlineArray<5, Int>(repeating: 0) }
struct Bytes240 { var words = InlineArray<30, Int>(repeating: 0) }

let workloads =
    composedWorkloads + [
        valueWorkload(of: Bytes24.self), valueWorkload(of: Bytes40.self), valueWorkload(of: Bytes240.self),
    ]

private func valueWorkload<Value: BitwiseCopyable>(of type: Value.Type) -> Workload {
    let byteCount = MemoryLayout<Value>.size
    return Workload(
        name: "values-\(byteCount)", title: "a million values of \(byteCount) bytes, then freed in random order",
        count: 1_000_000, order: .permutation, runsPerRound: 3, bytesTitle: "resident bytes/value"
    ) {
        [
            contestant("glibc", isMallow: false, of: type) { SystemAllocator() },
            contestant("SharedHeap", of: type) { SharedHeap() },
            contestant("FixedBlock", of: type) { try FixedBlockAllocator(blockSize: byteCount) },
            contestant("Bucket", of: type) { Bucket<Value>() },
        ]
    }
}

private func contestant<A: Allocator, Value>(
    _ name: String, isMallow: Bool = true, of type: Value.Type, _ make: @escaping () throws -> A
) -> Contestant {
    Contestant(
        name: name, isMallow: isMallow,
        bytesWhenFull: { input in
            let allocator = try make()
            // A child process begins without the pages of code and libraries: they come here, and are not counted.
            var few = input
            few.count = 100
            for _ in 0..<2 {
                try fill(allocator, type, few)
                for step in 0..<few.count { allocator.deallocate(input.blocks[step].unsafelyUnwrapped) }
                _ = residentByteCount()
            }
            let before = residentByteCount()
            try fill(allocator, type, input)
            let full = residentByteCount()
            empty(allocator, input)
            return full - min(before, full)
        },
        prepare: {
            let allocator = try make()
            return { input in
                let start = bench_now()
                try fill(allocator, type, input)
                empty(allocator, input)
                return bench_now() - start
            }
        })
}

@inline(never)
private func fill<A: Allocator, Value>(_ allocator: A, _ type: Value.Type, _ input: Input) throws {
    let blocks = input.blocks.unsafelyUnwrapped
    for step in 0..<input.count {
        let block = try allocator.allocate(
            byteCount: MemoryLayout<Value>.size, alignment: MemoryLayout<Value>.alignment)
        blocks[step] = use(block, step)
    }
}

@inline(never)
private func empty<A: Allocator>(_ allocator: A, _ input: Input) {
    let blocks = input.blocks.unsafelyUnwrapped
    let order = input.order.unsafelyUnwrapped
    for step in 0..<input.count { allocator.deallocate(blocks[Int(order[step])].unsafelyUnwrapped) }
}

/// What the process holds of memory, as the kernel counts it.
private func residentByteCount() -> UInt64 {
    let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let fields = statm.split(separator: " ")
    return fields.count > 1 ? (UInt64(fields[1]) ?? 0) * UInt64(sysconf(Int32(_SC_PAGESIZE))) : 0
}
