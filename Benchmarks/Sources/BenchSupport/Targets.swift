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
        printTarget(
            target.title, asked: String(format: "%.0f ns at 3 GHz", target.limit), got: ours,
            ratio: ours / target.limit, limit: 1)
    }
}

package func printTargets(_ targets: [Target], _ results: [WorkloadResult]) {
    printLine("\nTargets: what was asked at most, what this run got, and the ratio of the two times:")
    for target in targets {
        guard let result = results.first(where: { $0.workload == target.workload }),
            let ours = result.median(of: target.ours)
        else { continue }
        for rival in target.rivals {
            guard let theirs = result.median(of: rival) else { continue }
            printTarget(
                target.title, asked: String(format: "%.2f of %@ (%.2f ns)", target.limit, rival, theirs), got: ours,
                ratio: ours / theirs, limit: target.limit)
        }
    }
}

/// - Parameters:
///   - got: nanoseconds.
///   - ratio: what is compared with the limit, as it is printed.
private func printTarget(_ title: String, asked: String, got: Double, ratio: Double, limit: Double) {
    let text = String(format: "%@: asked %@, got %.2f ns, ratio %.2f", title, asked, got, ratio)
    printTarget(text, isMet: (ratio * 100).rounded() <= (limit * 100).rounded())
}

package func printTarget(_ text: String, isMet: Bool) { printLine((isMet ? "  met     " : "  MISSED  ") + text) }
