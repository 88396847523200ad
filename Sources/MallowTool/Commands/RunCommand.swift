// `mallow run`: one program on Mallow's malloc, and a report of what it took.

import ArgumentParser

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a program on Mallow's malloc and report its time and memory.",
        discussion: """
            The program's input, output, signals and exit status are untouched; the report goes to standard error. Peak \
            memory is that of the largest process that the program started. Options of mallow come before the program.
            """)

    @Flag(help: "No report.")
    var quiet = false

    @Flag(name: .customLong("no-statistics"), help: "Don't count allocations, which takes some time of each.")
    var withoutStatistics = false

    @Option(help: ArgumentHelp("Write the report to a file, as JSON.", valueName: "file"))
    var json: String?

    @Argument(
        parsing: .captureForPassthrough, help: ArgumentHelp("The program and its arguments.", valueName: "program"))
    var command: [String]

    func validate() throws {
        try checkCommandWords(command, of: Self.self)
    }

    func run() throws {
        let words = try commandWords(command)
        let program = try Program(named: words[0])
        let library = try MallocLibrary.mallow()
        try program.checkPreloading(of: library)
        let file = try json.map { path throws(ToolFailure) in try JSONFile(path: path) }

        var environment = CStringArray.environment()
        environment.preload(library, insteadOf: [])
        let folder = statisticsFolder()
        if case .success(let folder) = folder { environment.set("MALLOW_STATS", to: folder.setting) }
        defer { if case .success(let folder) = folder { folder.remove() } }

        takeOverSignals()
        let child = try ChildProcess.start(
            path: program.path, arguments: .lastArguments(words.count), environment: environment)
        let (termination, usage) = child.wait()

        let statistics: RunReport.Statistics
        switch folder {
        case .success(let folder):
            statistics = .collected(folder.collect(main: child.processID))
            folder.remove()
        case .failure(let reason):
            statistics = .none(reason.text)
        }
        let report = RunReport(
            command: words, library: library, termination: termination, usage: usage, statistics: statistics)
        if !quiet { StandardError.write(report.text) }
        try file?.write(RunRecord(report))
        termination.passOn()
    }

    private struct Reason: Error {
        let text: String
    }

    private func statisticsFolder() -> Result<StatisticsFolder, Reason> {
        if withoutStatistics { return .failure(Reason(text: "switched off by --no-statistics")) }
        if quiet && json == nil { return .failure(Reason(text: "nobody asks for them")) }
        if getenv("MALLOW_STATS") != nil {
            return .failure(Reason(text: "MALLOW_STATS is set, so they go where it says"))
        }
        guard let folder = StatisticsFolder() else {
            return .failure(Reason(text: "no temporary folder can be made; let TMPDIR name one"))
        }
        return .success(folder)
    }
}

/// What ArgumentParser would check if it did not leave everything from the first unknown word on to the program.
///
/// - Throws: what ArgumentParser throws for a wrong command line and for `--help`.
func checkCommandWords(_ captured: [String], of type: (some ParsableCommand).Type) throws {
    switch captured.first {
    case "-h", "--help": throw CleanExit.helpRequest(type)
    case "--version": throw CleanExit.message(toolVersion)
    case .some(let first) where first != "--" && first.hasPrefix("-"):
        throw ValidationError("Unknown option '\(first)'")
    case .none: throw ValidationError("Missing expected argument '<program> ...'")
    default: if captured == ["--"] { throw ValidationError("Missing expected argument '<program> ...'") }
    }
}

/// The program and its arguments, without the `--` before them.
func commandWords(_ captured: [String]) throws(ToolFailure) -> [String] {
    let words = captured.first == "--" ? Array(captured.dropFirst()) : captured
    if words[0].isEmpty { throw ToolFailure(.notFound, "the name of the program is empty; name a program") }
    return words
}
