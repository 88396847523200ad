// What the tool cannot do: one line on standard error, which names the cause and a way out, and a distinct exit status.
// This file is the only place that gives numbers to exit statuses.

/// The tool's own exit statuses. Whatever is not listed here is the program's: its exit status is passed through, and
/// when a signal killed it, the tool ends by the same signal (a shell shows 128 + N for both).
///
/// | status | case | meaning |
/// |---|---|---|
/// | 3 | `outputDiffers` | `compare`: the program's output or exit status is not the same under every malloc |
/// | 64 | `usage` | the command line is wrong (ArgumentParser uses 64 as well) |
/// | 71 | `systemError` | the system refused something that the tool itself needs: a process, a pipe, a temporary file |
/// | 73 | `cannotCreate` | the file named by `--json` cannot be written |
/// | 120 | `staticallyLinked` | the program has no dynamic loader, so nothing can be loaded before it |
/// | 121 | `privileged` | the program changes its user, group or capabilities, so the loader ignores `LD_PRELOAD` |
/// | 122 | `libraryUnusable` | a malloc library is not there, not readable, or not a shared library |
/// | 123 | `wrongArchitecture` | the program and a malloc library are for different processors |
/// | 126 | `notExecutable` | the program is there but cannot be executed (as in a shell) |
/// | 127 | `notFound` | there is no such program (as in a shell) |
enum ExitStatus: Int32 {
    case outputDiffers = 3
    case usage = 64
    case systemError = 71
    case cannotCreate = 73
    case staticallyLinked = 120
    case privileged = 121
    case libraryUnusable = 122
    case wrongArchitecture = 123
    case notExecutable = 126
    case notFound = 127

    /// The table for `mallow --help`.
    static let help = """
        EXIT STATUS: the program's own (or its signal), except
          3    compare: output or exit status differs between the mallocs
          64   wrong usage
          71   the system refused a process, a pipe or a temporary file
          73   the file named by --json cannot be written
          120  the program is statically linked: link libmallow.a instead
          121  the program is set-user-ID, set-group-ID or has capabilities
          122  a malloc library was not found or cannot be used
          123  the program and a malloc library are for different processors
          126  the program cannot be executed
          127  there is no such program
        """
}

/// Why the tool gives up. `message` is one line without the leading `mallow: `.
struct ToolFailure: Error {
    let status: ExitStatus
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }
}
