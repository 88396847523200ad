// What Mallow's allocators want to reach.

import BenchSupport
import Foundation

private let targets: [Target] =
    [
        Target("temporary block, generic", "temporary", "FixedBlock", to: "glibc", atMost: 0.2),
        Target("temporary block, any", "temporary", "FixedBlock (any)", to: "glibc", atMost: 0.6),
        Target("grow and shrink", "grow-shrink", "FixedBlock", to: "glibc", atMost: 0.5),
        Target("ladder, Fallback", "ladder", "Fallback", to: "glibc", atMost: 0.3),
        Target("ladder, Tiered", "ladder", "Tiered", to: "glibc", atMost: 0.3),
        Target("ladder grown, Fallback", "ladder-grow", "Fallback", to: "glibc", atMost: 0.5),
        Target("ladder grown, Tiered", "ladder-grow", "Tiered", to: "glibc", atMost: 0.5),
        Target("arena, two blocks, reused", "arena-reused", "Arena over FixedBlock", to: "glibc", atMost: 0.6),
        Target("arena, two blocks, new", "arena-new", "Arena over FixedBlock", to: "glibc", atMost: 1.5),
        Target("arena, unretained, new", "arena-new", "Arena over unretained", to: "glibc", atMost: 1.5),
        Target("temporary block, any, opened", "temporary", "FixedBlock (any, opened)", to: "glibc", atMost: 0.6),
        Target("region", "tree", "Region", to: "monotonic", "monotonic in buffer", atMost: 1),
    ]
    + ["temporary", "grow-shrink", "random-order", "random-replace"].flatMap { workload in
        [
            Target("pool, \(workload)", workload, "FixedBlock", to: "std::pmr", "std::pmr, new", atMost: 1),
            Target("pool, \(workload)", workload, "FixedBlock", to: "Boost.Pool", "Boost.Pool, new", atMost: 1.5),
        ]
    }
    + [24, 40, 240].flatMap { size in
        [
            Target("bucket, \(size) bytes", "values-\(size)", "Bucket", to: "glibc", atMost: 1),
            Target("bucket, \(size) bytes", "values-\(size)", "Bucket", to: "SharedHeap", atMost: 1),
        ]
    }

/// The most that a pool may hold beyond its blocks of 64 bytes.
private let overheadLimit = 0.02

func printTargets(_ results: [WorkloadResult]) {
    printTargets(targets, results)
    let pools = results.filter { $0.workload == "random-order" }
    for figures in pools.flatMap(\.figures) where figures.isMallow {
        guard let bytes = figures.bytesPerBlock, bytes > 0 else { continue }
        let overhead = bytes / 64 - 1
        let text = String(
            format: "%@, memory beyond blocks of 64 bytes: %.2f %% (target %.0f %%)", figures.contestant,
            overhead * 100, overheadLimit * 100)
        printTarget(text, isMet: overhead <= overheadLimit)
    }
}
