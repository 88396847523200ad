// What Mallow wants to reach, as ratios within one run, and what this run reached. A miss is said, and fails nothing: a
// busy machine misses too.

import Foundation

package struct Target: Sendable {
    package let title: String
    package let workload: String
    package let ours: String
    package let rivals: [String]
    package let limit: Double

    package init(
        _ title: String, _ workload: String, _ ours: String, to rivals: String..., atMost limit: Double
    ) {
        self.title = title
        self.workload = workload
        self.ours = ours
        self.rivals = rivals
        self.limit = limit
    }
}

package func printTargets(_ targets: [Target], _ results: [WorkloadResult]) {
    printLine("\nTargets:")
    for target in targets {
        guard let result = results.first(where: { $0.workload == target.workload }),
            let ours = result.median(of: target.ours)
        else { continue }
        for rival in target.rivals {
            guard let theirs = result.median(of: rival) else { continue }
            let ratio = ours / theirs
            let text = String(
                format: "%@: %.2f of %@ (target %.2f)", target.title, ratio, rival, target.limit)
            printTarget(text, isMet: ratio <= target.limit)
        }
    }
}

package func printTarget(_ text: String, isMet: Bool) { printLine((isMet ? "  reached  " : "  MISSED   ") + text) }
