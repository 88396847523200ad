// The table of a comparison: medians and spread of each measurement, the second server beside the first, and the
// targets.

import ArgumentParser
import Glibc

struct Measurement {
    /// What a number is, in the order of the table.
    enum Kind: String, CaseIterable {
        case cpu, rate, items, bytes, resident, hits, byteHits, refused

        var heading: String {
            switch self {
            case .cpu: "server CPU seconds for 100,000 requests"
            case .rate: "requests a second"
            case .items: "items held"
            case .bytes: "MiB of values held"
            case .resident: "MiB resident"
            case .hits: "hit rate after the shift to large items"
            case .byteHits: "of the bytes asked for after the shift, held"
            case .refused: "items refused for want of memory"
            }
        }

        /// What the ratio of the second server to the first should be, if anything.
        var target: (text: String, isMet: (Double) -> Bool)? {
            switch self {
            case .cpu: ("at most 1.4", { $0 <= 1.4 })
            case .items: ("at least 1.05", { $0 >= 1.05 })
            case .hits: ("at least 1.00", { $0 >= 1.00 })
            default: nil
            }
        }

        func shown(_ value: Double) -> String {
            switch self {
            case .cpu, .hits, .byteHits: decimals(value, 4)
            case .rate, .items, .refused: decimals(value, 0)
            case .bytes, .resident: decimals(value, 1)
            }
        }
    }

    let server: String
    let kind: Kind
    let title: String
    let value: Double

    /// `server TAB kind TAB title TAB value`
    init?(line: Substring) {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard fields.count == 4, let kind = Kind(rawValue: String(fields[1])), let value = Double(fields[3]) else {
            return nil
        }
        (server, self.kind, title, self.value) = (String(fields[0]), kind, String(fields[2]), value)
    }
}

struct Summary: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "A table of lines `server TAB kind TAB title TAB value` on standard input: medians, spread, ratios, targets."
    )

    func run() throws {
        var measurements: [Measurement] = []
        while let line = readLine() {
            guard let measurement = Measurement(line: line[...]) else { throw LoadError("not a measurement: \(line)") }
            measurements.append(measurement)
        }
        let servers = measurements.map(\.server).unique()
        guard servers.count == 2 else { throw LoadError("two servers are compared, not \(servers)") }
        for kind in Measurement.Kind.allCases {
            let ofKind = measurements.filter { $0.kind == kind }
            if ofKind.isEmpty { continue }
            let target = kind.target.map { "ratio (\($0.text))" } ?? "ratio"
            print("\n" + left(kind.heading, 44) + right(servers[0], 22) + right(servers[1], 22) + "  " + target)
            for title in ofKind.map(\.title).unique() {
                let columns = servers.map { server in
                    ofKind.filter { $0.title == title && $0.server == server }.map(\.value).sorted()
                }
                print(
                    left("  " + title, 44), columns.map { right(cell($0, kind), 22) }.joined(), separator: "",
                    terminator: "")
                if let first = columns[0].median, let second = columns[1].median, first != 0 {
                    let ratio = second / first
                    // The first half is warming up: only the second has a target.
                    let target = title.contains("first half") ? nil : kind.target
                    print("  " + decimals(ratio, 3) + (target.map { $0.isMet(ratio) ? "" : "  missed" } ?? ""))
                } else {
                    print("  -")
                }
            }
        }
        print("\nMedians; behind them half the distance from the least to the largest, in per cent of the median.")
    }

    private func cell(_ values: [Double], _ kind: Measurement.Kind) -> String {
        guard let median = values.median else { return "-" }
        let spread = median == 0 ? 0 : (values.last! - values.first!) / 2 / median * 100
        return kind.shown(median) + " ± " + right(decimals(spread, 0), 2) + " %"
    }
}

extension [Double] {
    /// Of sorted values.
    fileprivate var median: Double? {
        isEmpty ? nil : (self[(count - 1) / 2] + self[count / 2]) / 2
    }
}

extension Sequence where Element: Hashable {
    /// Each once, in the order in which they first appear.
    fileprivate func unique() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}

private func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

private func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

private func decimals(_ value: Double, _ digits: Int) -> String {
    let scale = pow(10.0, Double(digits))
    let whole = Int((value.magnitude * scale).rounded())
    let sign = value < 0 && whole > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(whole)" }
    let fraction = String(whole % Int(scale))
    return "\(sign)\(whole / Int(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}
