// What Mallow's range allocators want to reach.

import BenchSupport
import Foundation

private let randomWorkloads = ["one", "random-1000", "random-10000", "random-100000", "random-1000000"]

private let targets: [Target] =
    randomWorkloads.map { Target($0, $0, "SegregatedFit", to: "std::map pair", atMost: 0.15) }
    + randomWorkloads.map { Target("\($0), two trees", $0, "TwoTrees", to: "std::map pair", atMost: 0.5) }

private let times = [("one", 12.0), ("random-1000", 40), ("random-10000", 60), ("random-100000", 150)]
    .map { TimeTarget("\($0), a pair of free and allocate", $0, "SegregatedFit", nanoseconds: $1) }

/// The most bytes that the records may take for a range: all of them counted, free and allocated, though only the free
/// ones have records. What that is for a free range alone is printed beside it.
private let metadataLimit = 32.0

func printTargets(_ results: [WorkloadResult]) {
    printTargets(targets, results)
    printTargets(times, results)
    for result in results {
        for figures in result.figures where figures.isMallow {
            guard let extras = figures.extras else { continue }
            let name = "\(result.workload), \(figures.contestant)"
            printTarget("\(name): \(Int(extras[1])) false answers of \"none\" (target 0)", isMet: extras[1] == 0)
            if figures.contestant == "SegregatedFit" {
                let text = String(
                    format: "%@: %.1f bytes of metadata a range, free or allocated (target %.0f); %.1f a free one",
                    name, extras[3], metadataLimit, extras[2])
                printTarget(text, isMet: extras[3] <= metadataLimit)
            }
        }
    }
}
