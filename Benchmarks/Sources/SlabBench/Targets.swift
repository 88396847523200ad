// What Mallow's slab arenas want to reach.

import BenchSupport
import Foundation

private let targets: [Target] =
    ["reference", "reference-random"].map { workload in
        Target("\(workload)", workload, "SlabArena", to: "glibc counted", atMost: 0.4)
    }
    + ["allocate-1", "allocate-128", "allocate-256", "live-1", "live-128", "live-256", "sizes-2", "sizes-1.1"].map {
        Target("allocation and release, \($0)", $0, "SlabArena", to: "glibc", atMost: 0.8)
    }

/// The most that a chunk may take beyond its own bytes.
private let metadataLimit = 24.0

func printTargets(_ results: [WorkloadResult]) {
    printTargets(targets, results)
    for figures in results.flatMap(\.figures) where figures.isMallow {
        guard let bytes = figures.bytesPerBlock else { continue }
        let text = String(
            format: "%@, metadata: %.2f bytes a chunk (target %.0f)", figures.contestant, bytes, metadataLimit)
        printTarget(text, isMet: bytes <= metadataLimit)
    }
}
