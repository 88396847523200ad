// Several measurements of the same thing, and whether two mallocs differ in it.

/// What is measured of every round.
enum Metric: CaseIterable {
    case wallTime
    case processorTime
    case peakMemory
    case pageFaults

    func value(_ usage: ResourceUsage) -> Double {
        switch self {
        case .wallTime: usage.wallSeconds
        case .processorTime: usage.userSeconds + usage.systemSeconds
        case .peakMemory: Double(usage.peakBytes)
        case .pageFaults: Double(usage.minorPageFaults + usage.majorPageFaults)
        }
    }

    /// As a heading of the table.
    var title: String {
        switch self {
        case .wallTime: "wall time"
        case .processorTime: "CPU time (user and system)"
        case .peakMemory: "peak memory (the largest process of the tree)"
        case .pageFaults: "page faults (minor and major)"
        }
    }

    /// As a key of the record.
    var key: String {
        switch self {
        case .wallTime: "wallSeconds"
        case .processorTime: "cpuSeconds"
        case .peakMemory: "peakBytes"
        case .pageFaults: "pageFaults"
        }
    }

    func format(_ value: Double) -> String {
        switch self {
        case .wallTime, .processorTime: Format.seconds(value)
        case .peakMemory: Format.bytes(value)
        case .pageFaults: Format.count(Int(value.rounded()))
        }
    }
}

/// The median of some values, and how far they lie apart.
struct SampleSummary {
    let median: Double
    let minimum: Double
    let maximum: Double
    private let count: Int

    /// - Precondition: there is a value.
    init(_ values: [Double]) {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        minimum = sorted[0]
        maximum = sorted[sorted.count - 1]
        count = sorted.count
    }

    /// Half the distance between the extremes, as a part of the median; nil where the median is zero, and of one value.
    var spread: Double? { count > 1 && median > 0 ? (maximum - minimum) / 2 / median : nil }
}

/// What can be said about one malloc against the system's.
enum Verdict: String, Encodable {
    case less
    case more
    case same
    /// The rounds disagree: their spread is too wide to conclude.
    case undecided
    /// Fewer rounds than could ever decide.
    case tooFewRounds
    /// Peak memory only: one of the two is no larger than what can be measured.
    case tooSmall
}

/// One malloc against the system's, in one metric.
///
/// **The rule.** The ratio that is shown is that of the two medians. Whether it means anything is decided by the
/// *pairs*: in every round all mallocs run one after the other, so that a machine which gets slower for a while slows
/// both halves of a pair, and their ratio keeps its meaning. With n pairs sorted by their ratio, the interval from the
/// k-th smallest to the k-th largest holds the true median ratio with a certainty that does not depend on how the times
/// are distributed (the sign test): k is the largest with 2 · P(Binomial(n, ½) < k) ≤ 1/16, which is 1 from five rounds
/// on, 2 from eight, 6 of twenty. Then:
/// - fewer than five rounds: nothing can be said;
/// - the interval lies within one per cent of 1: the same;
/// - the interval lies on one side of 1: less, or more;
/// - else the spread is too wide to conclude.
struct PairedRatio {
    /// Median against median.
    let ratio: Double
    let low: Double
    let high: Double
    let verdict: Verdict

    /// - Parameters:
    ///   - values: of this malloc, round by round.
    ///   - baseline: of the system's, in the same rounds.
    /// - Returns: nil where a value of the baseline is zero: a time too short for the kernel's clock.
    init?(_ values: [Double], against baseline: [Double]) {
        guard !baseline.contains(0), !values.isEmpty else { return nil }
        ratio = SampleSummary(values).median / SampleSummary(baseline).median
        let pairs = zip(values, baseline).map { $0 / $1 }.sorted()
        let rank = Self.rank(pairs.count)
        low = pairs[max(rank, 1) - 1]
        high = pairs[pairs.count - max(rank, 1)]
        if rank == 0 {
            verdict = .tooFewRounds
        } else if low >= 0.99, high <= 1.01 {
            verdict = .same
        } else if high < 1 {
            verdict = .less
        } else if low > 1 {
            verdict = .more
        } else {
            verdict = .undecided
        }
    }

    /// The k of the rule; zero if there is none.
    static func rank(_ count: Int) -> Int {
        var rank = 0
        // P(Binomial(count, ½) = rank) and the sum of those below.
        var probability = (0..<count).reduce(1.0) { product, _ in product / 2 }
        var below = probability
        while 2 * below <= 1.0 / 16, 2 * (rank + 1) <= count {
            rank += 1
            probability *= Double(count - rank + 1) / Double(rank)
            below += probability
        }
        return rank
    }
}
