// Running a program under several mallocs in turn.
//
//     warm-up:  system  mallow  other        brings the program and its files into the page cache; its output counts,
//     round 1:  system  mallow  other        its times do not
//     round 2:  mallow  other   system       every malloc has every place in the order equally often, so that what one
//     round 3:  other   system  mallow       run leaves behind (a warm cache, a hot processor) favours none
//     …

/// A malloc and what it gave.
struct ComparedAllocator {
    let name: String
    /// nil is the system malloc.
    let library: MallocLibrary?
    var warmUp: Round
    var rounds: [Round] = []

    var allRuns: [Round] { [warmUp] + rounds }
    var hasFailed: Bool { allRuns.contains { !$0.termination.isSuccess } }

    func values(_ metric: Metric) -> [Double] {
        rounds.map { metric.value($0.usage) }
    }
}

/// All that `mallow compare` found out. The system malloc is the first.
struct Comparison {
    let command: [String]
    let roundCount: Int
    let allocators: [ComparedAllocator]

    var outputAgreement: Agreement { .ofOutput(allocators) }
    var terminationAgreement: Agreement { .ofTermination(allocators) }

    /// The end that all runs had; nil if they differ.
    var commonTermination: Termination? {
        terminationAgreement == .same ? allocators[0].warmUp.termination : nil
    }

    /// - Returns: nil for the system malloc itself, and where its values are zero.
    func ratio(_ index: Int, _ metric: Metric) -> PairedRatio? {
        index == 0 ? nil : PairedRatio(allocators[index].values(metric), against: allocators[0].values(metric))
    }

    func verdict(_ index: Int, _ metric: Metric) -> Verdict? {
        if metric == .peakMemory, index > 0, isAtFloor(index) || isAtFloor(0) { return .tooSmall }
        return ratio(index, metric)?.verdict
    }

    /// Whether the peak memory under a malloc is but an upper bound, in any round.
    func isAtFloor(_ index: Int) -> Bool {
        allocators[index].rounds.contains { $0.usage.peakIsAtFloor }
    }
}

/// Does the runs. `SignalState.received` ends it early.
struct ComparisonRunner {
    let program: Program
    let command: [String]
    let roundCount: Int
    /// The names, and the libraries to preload; the first is the system malloc and has none.
    let allocators: [(name: String, library: MallocLibrary?)]
    let input: Int32
    let progress: ProgressLine

    /// - Throws: `systemError`, `notExecutable`.
    /// - Returns: nil if a signal to the tool ended it.
    func run() throws(ToolFailure) -> Comparison? {
        let arguments = CStringArray.lastArguments(command.count)
        let libraries = allocators.compactMap { $0.library }
        let environments = allocators.map { allocator in
            var environment = CStringArray.environment()
            environment.preload(allocator.library, insteadOf: libraries)
            return environment
        }
        defer { progress.clear() }
        var results: [ComparedAllocator] = []
        for turn in 0...roundCount {
            for place in allocators.indices {
                let index = turn == 0 ? place : (place + turn - 1) % allocators.count
                let name = allocators[index].name
                let phase = turn == 0 ? "warm-up" : "round \(turn) of \(roundCount)"
                let show = { progress.show("mallow: \(phase), \(name)") }
                show()
                let round = try Round.run(
                    program, arguments: arguments, environment: environments[index], input: input, whileWaiting: show)
                if SignalState.received != 0 { return nil }
                if turn == 0 {
                    results.append(ComparedAllocator(name: name, library: allocators[index].library, warmUp: round))
                } else {
                    results[index].rounds.append(round)
                }
            }
        }
        return Comparison(command: command, roundCount: roundCount, allocators: results)
    }
}
