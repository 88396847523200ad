// What `mallow compare --json` writes: every run, what the table says of them, and the judgement.

struct ComparisonRecord: Encodable {
    var mallow = toolVersion
    var command: [String]
    var rounds: Int
    var output: String
    var termination: String
    var allocators: [Allocator]

    struct Allocator: Encodable {
        var name: String
        /// Absent for the system malloc.
        var library: String?
        /// By the keys of `Metric`.
        var summary: [String: Summary]
        var warmUp: Run
        var runs: [Run]
    }

    struct Summary: Encodable {
        var median: Double
        var minimum: Double
        var maximum: Double
        /// These four are absent for the system malloc.
        var ratio: Double?
        var ratioLow: Double?
        var ratioHigh: Double?
        var verdict: Verdict?
    }

    struct Run: Encodable {
        var wallSeconds: Double
        var cpuSeconds: Double
        var peakBytes: Int
        var peakIsAtFloor: Bool
        var pageFaults: Int
        var termination: TerminationRecord
        var outputBytes: Int
        var outputHash: String

        init(_ round: Round) {
            wallSeconds = round.usage.wallSeconds
            cpuSeconds = round.usage.userSeconds + round.usage.systemSeconds
            peakBytes = round.usage.peakBytes
            peakIsAtFloor = round.usage.peakIsAtFloor
            pageFaults = round.usage.minorPageFaults + round.usage.majorPageFaults
            termination = TerminationRecord(round.termination)
            outputBytes = round.output.byteCount
            outputHash = round.output.description
        }
    }

    init(_ comparison: Comparison) {
        command = comparison.command
        rounds = comparison.roundCount
        output = comparison.outputAgreement.word
        termination = comparison.terminationAgreement.word
        allocators = comparison.allocators.enumerated().map { index, allocator in
            let summaries = Metric.allCases.map { metric in
                let sample = SampleSummary(allocator.values(metric))
                let ratio = comparison.ratio(index, metric)
                let summary = Summary(
                    median: sample.median, minimum: sample.minimum, maximum: sample.maximum, ratio: ratio?.ratio,
                    ratioLow: ratio?.low, ratioHigh: ratio?.high, verdict: comparison.verdict(index, metric))
                return (metric.key, summary)
            }
            return Allocator(
                name: allocator.name, library: allocator.library?.path,
                summary: Dictionary(uniqueKeysWithValues: summaries), warmUp: Run(allocator.warmUp),
                runs: allocator.rounds.map { Run($0) })
        }
    }
}
