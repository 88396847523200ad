// Text on the tool's own standard error and output, and whether a terminal is there to show colour and progress.

enum StandardError {
    /// Failures are ignored: there is nowhere left to report them.
    static func write(_ text: String) {
        var text = text
        _ = text.withUTF8 { writeBytes(STDERR_FILENO, UnsafeRawBufferPointer($0)) }
    }

    /// Bytes of the program, as they are.
    static func write(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { writeBytes(STDERR_FILENO, $0) }
    }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }
}

enum StandardOutput {
    static func write(_ text: String) {
        var text = text
        _ = text.withUTF8 { writeBytes(STDOUT_FILENO, UnsafeRawBufferPointer($0)) }
    }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}

/// Emphasis by terminal codes, or none: only on a terminal, and not where `NO_COLOR` (https://no-color.org) or a dumb
/// terminal forbids it.
struct Style {
    let isOn: Bool

    init(isTerminal: Bool) {
        isOn = isTerminal && environmentValue("NO_COLOR") == nil && environmentValue("TERM") != "dumb"
    }

    func bold(_ text: String) -> String { wrap(text, 1) }
    func faint(_ text: String) -> String { wrap(text, 2) }
    func good(_ text: String) -> String { wrap(text, 32) }
    func bad(_ text: String) -> String { wrap(text, 31) }

    private func wrap(_ text: String, _ code: Int) -> String {
        isOn ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

/// One line on standard error that is rewritten in place: on a terminal only, and only after a second, so that what is
/// quick leaves nothing behind.
final class ProgressLine {
    private let isOn = StandardError.isTerminal
    private let start = monotonicSeconds()
    private var shown: String?

    func show(_ text: String) {
        guard isOn, monotonicSeconds() - start > 1 else { return }
        let line = "\(text) (\(Format.fixed(monotonicSeconds() - start, 0)) s)"
        guard line != shown else { return }
        shown = line
        StandardError.write("\r\u{1B}[K\(line)")
    }

    func clear() {
        guard shown != nil else { return }
        shown = nil
        StandardError.write("\r\u{1B}[K")
    }
}
