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

/// What a core of 3 GHz is to reach by itself.
package struct TimeTarget: Sendable {
    package let title: String
    package let workload: String
    package let ours: String
    package let limit: Double

    /// - Parameter limit: nanoseconds for what the workload's table counts.
    package init(_ title: String, _ workload: String, _ ours: String, nanoseconds limit: Double) {
        self.title = title
        self.workload = workload
        self.ours = ours
        self.limit = limit
    }
}

package func printTargets(_ targets: [TimeTarget], _ results: [WorkloadResult]) {
    for target in targets {
        guard let result = results.first(where: { $0.workload == target.workload }),
            let ours = result.median(of: target.ours)
        else { continue }
        let text = String(format: "%@: %.2f ns (target %.0f at 3 GHz)", target.title, ours, target.limit)
        printTarget(text, isMet: ours <= target.limit)
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
            // As it is printed.
            printTarget(text, isMet: (ratio * 100).rounded() <= (target.limit * 100).rounded())
        }
    }
}

package func printTarget(_ text: String, isMet: Bool) { printLine((isMet ? "  reached  " : "  MISSED   ") + text) }
