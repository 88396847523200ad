// The figures that are made of samples: medians and spreads of one malloc on one workload, and Mallow against the
// others over all workloads.

import Foundation

struct Figures: Codable, Sendable {
    let nanoseconds: Double
    /// From the fastest to the slowest round, as a part of the median.
    let spread: Double
    let peakBytes: Double
    let peakDeltaBytes: Double

    init?(samples: [Sample]) {
        guard !samples.isEmpty else { return nil }
        let times = samples.map(\.nanosecondsPerOperation)
        nanoseconds = median(times)
        spread = (times.max()! - times.min()!) / nanoseconds
        peakBytes = median(samples.map { Double($0.peakBytes) })
        peakDeltaBytes = median(samples.map { Double($0.peakDeltaBytes) })
    }
}

/// The best of the mallocs that are not Mallow, on one workload: what the ratios of the tables are to.
struct BestRival {
    let nanoseconds: Double
    let peakBytes: Double

    init?(in result: WorkloadResult, among allocators: [AllocatorUnderTest]) {
        let rivals = allocators.filter { $0.role != .mallow }.compactMap { result.figures(of: $0) }
        guard let nanoseconds = rivals.map(\.nanoseconds).min(), let peakBytes = rivals.map(\.peakBytes).min() else {
            return nil
        }
        self.nanoseconds = nanoseconds
        self.peakBytes = peakBytes
    }
}

struct Summary {
    /// Mallow's figures divided by a rival's, the geometric mean over the workloads that both completed.
    struct Comparison: Codable {
        let rival: String
        let time: Double
        let peak: Double
        let workloadCount: Int
    }

    /// A workload on which Mallow takes more than `slowLimit` of the best rival's time.
    struct SlowWorkload: Codable {
        let workload: String
        let ratio: Double
    }

    static let slowLimit = 1.25

    private(set) var comparisons: [Comparison] = []
    private(set) var slowWorkloads: [SlowWorkload] = []
    private(set) var failures: [(workload: String, allocator: String, reason: String)] = []

    init(results: [WorkloadResult], allocators: [AllocatorUnderTest]) {
        for result in results {
            for (name, reason) in result.failures.sorted(by: { $0.key < $1.key }) {
                failures.append((result.workload, name, reason))
            }
        }
        guard let mallow = allocators.first(where: { $0.role == .mallow }) else { return }
        for rival in allocators where rival != mallow {
            if let comparison = Self.compare(mallow, with: rival, over: results) { comparisons.append(comparison) }
        }
        for result in results {
            guard let own = result.figures(of: mallow), let best = BestRival(in: result, among: allocators) else {
                continue
            }
            let ratio = own.nanoseconds / best.nanoseconds
            if ratio > Self.slowLimit { slowWorkloads.append(SlowWorkload(workload: result.workload, ratio: ratio)) }
        }
    }

    private static func compare(
        _ mallow: AllocatorUnderTest, with rival: AllocatorUnderTest, over results: [WorkloadResult]
    ) -> Comparison? {
        let pairs = results.compactMap { result in
            result.figures(of: mallow).flatMap { own in result.figures(of: rival).map { (own: own, other: $0) } }
        }
        guard !pairs.isEmpty else { return nil }
        return Comparison(
            rival: rival.name,
            time: geometricMean(pairs.map { $0.own.nanoseconds / $0.other.nanoseconds }),
            peak: geometricMean(pairs.map { $0.own.peakBytes / $0.other.peakBytes }),
            workloadCount: pairs.count)
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

func geometricMean(_ values: [Double]) -> Double {
    exp(values.map { log($0) }.reduce(0, +) / Double(values.count))
}
