// The tool `mallow`: any program on Mallow's malloc, and what that changes.
//
// Reading order: `Commands/` holds what the user types; `Programs/` decides whether a program can be run on a preloaded
// malloc at all; `Processes/` starts it and measures it; `Statistics/` reads what the library wrote about its heap;
// `Comparison/` judges several rounds; `Output/` is all that is printed. `ToolFailure.swift` has the exit statuses.

import ArgumentParser

/// What `mallow --version` prints, and what the JSON records of the tool carry.
let toolVersion = "0.1.0"

@main
struct MallowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mallow",
        abstract: "Run a program on Mallow's malloc, and compare it with the system's.",
        discussion: """
            The program must be linked dynamically: the library libmallow.so is loaded before it. It is looked for where \
            MALLOW_LIBRARY says, else in ../lib beside the tool, else in the tool's own folder.

            \(ExitStatus.help)
            """,
        version: toolVersion,
        subcommands: [RunCommand.self, CompareCommand.self])

    /// Parses and runs. A `ToolFailure` becomes its one line and its exit status; everything else (help, version,
    /// errors of usage) is left to ArgumentParser.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let failure as ToolFailure {
            StandardError.write("mallow: \(failure.message)\n")
            leave(with: failure.status.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}
