// `mallow compare`: a program under the system malloc and under Mallow, in turn, side by side.

import ArgumentParser

struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Run a program under the system malloc and under Mallow in turn, and compare.",
        discussion: """
            Every run gets the same standard input, read once; from a terminal it gets none. The program's output is \
            compared, not shown. Peak memory is that of the largest process that the program started. Options of mallow \
            come before the program.
            """)

    @Option(
        help: ArgumentHelp("How often each malloc is measured; from five on, differences are judged.", valueName: "n"))
    var rounds = 5

    @Option(
        help: ArgumentHelp(
            "Another malloc library to compare with; may be given several times.", valueName: "name=path"))
    var allocator: [String] = []

    @Option(help: ArgumentHelp("Write every run and the comparison to a file, as JSON.", valueName: "file"))
    var json: String?

    @Argument(
        parsing: .captureForPassthrough, help: ArgumentHelp("The program and its arguments.", valueName: "program"))
    var command: [String]

    func validate() throws {
        try checkCommandWords(command, of: Self.self)
    }

    func run() throws {
        let words = try commandWords(command)
        guard rounds >= 1 else {
            throw ToolFailure(.usage, "--rounds \(rounds): at least one round is needed; five or more can be judged")
        }
        let program = try Program(named: words[0])
        let allocators = try namedAllocators()
        for case (_, let library?) in allocators { try program.checkPreloading(of: library) }
        let file = try json.map { path throws(ToolFailure) in try JSONFile(path: path) }

        let progress = ProgressLine()
        let input = try copyStandardInput(progress)
        takeOverSignals()
        let runner = ComparisonRunner(
            program: program, command: words, roundCount: rounds, allocators: allocators, input: input,
            progress: progress)
        guard let comparison = try runner.run() else {
            Termination.killed(signal: SignalState.received).passOn()
        }

        let table = ComparisonTable(comparison: comparison, style: Style(isTerminal: StandardOutput.isTerminal))
        StandardOutput.write(table.text)
        try file?.write(ComparisonRecord(comparison))
        finish(comparison)
    }

    /// The system's, Mallow's, and those that the user names.
    private func namedAllocators() throws(ToolFailure) -> [(name: String, library: MallocLibrary?)] {
        var result: [(name: String, library: MallocLibrary?)] = [
            ("system", nil), ("mallow", try MallocLibrary.mallow()),
        ]
        for argument in allocator {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw ToolFailure(
                    .usage, "--allocator \(argument): not NAME=PATH, as in jemalloc=/usr/lib/libjemalloc.so.2")
            }
            guard !result.contains(where: { $0.name == parts[0] }) else {
                throw ToolFailure(.usage, "--allocator \(argument): the name is taken; choose another")
            }
            let library = try MallocLibrary(path: parts[1], remedy: "let --allocator \(parts[0])=PATH name its library")
            result.append((parts[0], library))
        }
        return result
    }

    /// Ends the tool: by 3 if the mallocs disagree, as the program did if it failed under all of them alike, else by 0.
    private func finish(_ comparison: Comparison) -> Never {
        let failure = comparison.commonTermination.flatMap { $0.isSuccess ? nil : $0 }
        if let failure {
            showErrorTail(comparison.allocators[0], "failed in every run alike, \(failure.description)")
        } else if case .differs(let differences) = comparison.terminationAgreement {
            // Who fails where the system malloc does not is more to the point than the reverse.
            let suspects = comparison.allocators.filter { allocator in
                differences.contains { $0.name == allocator.name }
            }
            for allocator in (suspects + [comparison.allocators[0]]).filter(\.hasFailed).prefix(1) {
                showErrorTail(allocator, "failed under \(allocator.name)")
            }
        }
        if comparison.outputAgreement.differs || comparison.terminationAgreement.differs {
            leave(with: ExitStatus.outputDiffers.rawValue)
        }
        failure?.passOn()
        leave(with: 0)
    }

    private func showErrorTail(_ allocator: ComparedAllocator, _ what: String) {
        guard let run = allocator.allRuns.first(where: { !$0.termination.isSuccess }) else { return }
        if run.errorTail.isEmpty {
            StandardError.write("mallow: the program \(what); it wrote nothing to standard error\n")
        } else {
            StandardError.write("mallow: the program \(what); the end of its standard error:\n")
            StandardError.write(run.errorTail)
            if run.errorTail.last != UInt8(ascii: "\n") { StandardError.write("\n") }
        }
    }
}
