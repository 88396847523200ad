// Compiles programs that use the library wrongly, and rightly.
//
// Refused/*.swift must not compile. A comment says where and how:
//
//     let second = box.take()  // error: part of the message
//
// The comment is on the line of the diagnostic, or alone on lines above it. Every one must be met by an error, and
// every error must be named by one. The compiler finds wrong types first and stops there, before it looks at ownership
// and lifetimes: a file has errors of one sort. Accepted/*.swift must compile without a warning. Both folders are
// looked for in each target's tests.

import Foundation
import Testing

struct RefusalTests {
    @Test("does not compile", arguments: Program.all(in: "Refused"))
    func refused(_ program: Program) throws {
        #expect(try program.complaintsIfAccepted() == [])
    }

    @Test("compiles", arguments: Program.all(in: "Accepted"), ["-Onone", "-O"])
    func accepted(_ program: Program, _ optimisation: String) throws {
        #expect(try program.complaintsIfRefused(optimisation) == [])
    }

    @Test("programs are found")
    func programsAreFound() {
        #expect(Program.all(in: "Refused").contains { $0.name == "Box-DoubleTake.swift" })
        #expect(Program.all(in: "Accepted").contains { $0.name == "Box.swift" })
        #expect(Program.all(in: "Refused").contains { $0.name == "SlabBuffer-Overlap.swift" })
        #expect(Program.all(in: "Accepted").contains { $0.name == "SlabBuffer.swift" })
    }

    @Test("a right program, an unnamed error, another message and another line are told from a refusal")
    func complaints() throws {
        let right = Program(
            name: "right", text: "import Mallow\nfunc f() throws { _ = try Box(5).take() }  // error: once")
        #expect(try right.complaintsIfAccepted() == ["line 2: no error says \"once\""])

        let wrong = """
            import Mallow
            func f() throws {
                let box = try Box(5)
                _ = box.take()
                _ = box.take()
            }
            """
        let unnamed = try Program(name: "unnamed", text: wrong).complaintsIfAccepted()
        #expect(unnamed == ["names no error", "line 3: unexpected: 'box' consumed more than once"])

        let box = "let box = try Box(5)"
        let message = wrong.replacingOccurrences(of: box, with: box + "  // error: used after consume")
        #expect(
            try Program(name: "message", text: message).complaintsIfAccepted() == [
                "line 3: no error says \"used after consume\"",
                "line 3: unexpected: 'box' consumed more than once",
            ])

        let line = wrong.replacingOccurrences(of: "_ = box.take()\n}", with: "_ = box.take()  // error: consumed\n}")
        #expect(
            try Program(name: "line", text: line).complaintsIfAccepted() == [
                "line 5: no error says \"consumed\"", "line 3: unexpected: 'box' consumed more than once",
            ])

        let above = wrong.replacingOccurrences(of: box, with: "// error: more than once\n    " + box)
        #expect(try Program(name: "above", text: above).complaintsIfAccepted() == [])
        #expect(try Program(name: "refused", text: wrong).complaintsIfRefused("-Onone").count == 1)
    }
}

/// A source file and what the compiler says of it.
struct Program: CustomTestStringConvertible, Sendable {
    let name: String
    let text: String

    var testDescription: String { name }

    /// The programs of the folders of a name, in the tests of every target.
    static func all(in folder: String) -> [Program] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let targets = (try? FileManager.default.contentsOfDirectory(at: tests, includingPropertiesForKeys: nil)) ?? []
        let files = targets.flatMap {
            (try? FileManager.default.contentsOfDirectory(
                at: $0.appendingPathComponent(folder), includingPropertiesForKeys: nil)) ?? []
        }
        return files.filter { $0.pathExtension == "swift" }.sorted { $0.path < $1.path }.compactMap { file in
            (try? String(contentsOf: file, encoding: .utf8)).map { Program(name: file.lastPathComponent, text: $0) }
        }
    }

    /// What keeps this from being a program that is refused as its comments say.
    func complaintsIfAccepted() throws -> [String] {
        let compilation = try Compilation(of: self, optimisation: "-Onone")
        let expectations = self.expectations
        let errors = compilation.diagnostics.filter { $0.severity == "error" }
        var complaints = expectations.isEmpty ? ["names no error"] : []
        for expectation in expectations where !errors.contains(where: expectation.matches) {
            complaints.append("line \(expectation.line): no error says \"\(expectation.message)\"")
        }
        for error in errors where !expectations.contains(where: { $0.matches(error) }) {
            complaints.append("line \(error.line): unexpected: \(error.message)")
        }
        if compilation.status != 0, errors.isEmpty {
            complaints.append("the compiler failed: \(compilation.output.suffix(1000))")
        }
        return complaints
    }

    /// What keeps this from being a program that compiles without a warning.
    func complaintsIfRefused(_ optimisation: String) throws -> [String] {
        let compilation = try Compilation(of: self, optimisation: optimisation)
        let complaints = compilation.diagnostics.filter { $0.severity != "note" }.map {
            "line \($0.line): \($0.severity): \($0.message)"
        }
        return compilation.status == 0 || !complaints.isEmpty
            ? complaints : ["the compiler failed: \(compilation.output.suffix(1000))"]
    }

    private struct Expectation {
        let line: Int
        let message: String

        func matches(_ diagnostic: Compilation.Diagnostic) -> Bool {
            diagnostic.line == line && diagnostic.message.contains(message)
        }
    }

    private var expectations: [Expectation] {
        var found: [Expectation] = []
        var above: [String] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let mark = line.range(of: "// error: ")
            let message = mark.map { line[$0.upperBound...].trimmingCharacters(in: .whitespaces) }
            if let mark, let message, line[..<mark.lowerBound].allSatisfy({ $0 == " " }) {
                above.append(message)
                continue
            }
            found += (above + [message].compactMap { $0 }).map { Expectation(line: index + 1, message: $0) }
            above = []
        }
        return found
    }
}

/// One run of the compiler: all of it, since it checks ownership, lifetimes and isolation after the types.
struct Compilation {
    struct Diagnostic {
        let line: Int
        let severity: String
        let message: String
    }

    let status: Int32
    let output: String

    init(of program: Program, optimisation: String) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mallow-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let source = folder.appendingPathComponent("Program.swift")
        try program.text.write(to: source, atomically: false, encoding: .utf8)
        // To a file: a pipe that is full would block the compiler.
        let log = folder.appendingPathComponent("log")
        try Data().write(to: log)
        let handle = try FileHandle(forWritingTo: log)

        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = [
            Self.compiler, "-swift-version", "6", "-parse-as-library", optimisation, "-diagnostic-style", "llvm",
            "-module-name", "Program", "-I", try Self.modules.path, "-I", Self.shims.path,
            "-c", source.path, "-o", folder.appendingPathComponent("Program.o").path,
        ]
        compiler.standardOutput = handle
        compiler.standardError = handle
        try compiler.run()
        compiler.waitUntilExit()
        status = compiler.terminationStatus
        output = try String(contentsOf: log, encoding: .utf8)
    }

    /// Without the notes. One without a place, such as a module that is not found, has line 0.
    var diagnostics: [Diagnostic] {
        output.split(separator: "\n").compactMap { line in
            for severity in ["error", "warning"] {
                let start = line.range(of: "\(severity): ", options: .anchored)
                guard let mark = start ?? line.range(of: ": \(severity): ") else { continue }
                let place = line[..<mark.lowerBound].split(separator: ":")
                guard place.isEmpty || place[0].hasSuffix(".swift") || place[0] == "<unknown>" else { continue }
                return Diagnostic(
                    line: place.count > 1 ? Int(place[1]) ?? 0 : 0, severity: severity,
                    message: String(line[mark.upperBound...]))
            }
            return nil
        }
    }

    /// The compiler of the toolchain that runs the tests.
    private static var compiler: String {
        guard let swift = ProcessInfo.processInfo.environment["SWIFT"], swift.contains("/") else { return "swiftc" }
        return URL(fileURLWithPath: swift).deletingLastPathComponent().appendingPathComponent("swiftc").path
    }

    private static var shims: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Sources/CMallowShims/include").standardized
    }

    /// The folder of the built modules, beside the tests' own executable.
    private static var modules: URL {
        get throws {
            var folder = Bundle.main.bundleURL
            for _ in 0..<5 {
                let modules = folder.appendingPathComponent("Modules")
                let module = modules.appendingPathComponent("Mallow.swiftmodule").path
                if FileManager.default.fileExists(atPath: module) { return modules }
                folder.deleteLastPathComponent()
            }
            throw ModulesNotFound(beside: Bundle.main.bundlePath)
        }
    }

    struct ModulesNotFound: Error {
        let beside: String
    }
}
