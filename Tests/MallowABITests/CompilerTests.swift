// Compilers and what they build. GCC and Clang give the same objects on Mallow, byte for byte; swiftc, several
// processes at a time, a program that prints the same; make runs them all. Then programs in C++ and Swift, with threads
// and tasks, themselves.

import Foundation
import Testing

@Suite struct CompilerTests {
    @Test(arguments: [["g++", "-O1"], ["g++", "-O0", "-g"], ["clang++", "-O1"], ["clang++", "-O0", "-g"]])
    func compilesTemplates(compiler: [String]) async throws {
        var comparison = Comparison()
        comparison.command.arguments = compiler + ["-std=c++17", "-w", "-c", "templates.cpp", "-o", "templates.o"]
        comparison.files = ["templates.o"]
        comparison.modes = [compiler[0] == "g++" ? .limited : .background]
        // The work is done by processes that the driver starts.
        comparison.startsOneProcess = false
        comparison.prepare = { try copy("templates.cpp", to: $0) }
        let run = try await comparison.expectSame()
        // GCC maps the pages of its garbage-collected heap itself.
        let compiled = run.processes.contains { $0.allocations > 10_000 && $0.peakLiveBytes > 1_000_000 }
        #expect(compiled, "no compiler among \(run.processes.count)")
    }

    /// GCC for C, make and its jobs, the archiver, the linker, and the program that comes out.
    @Test func makes() async throws {
        var comparison = Comparison("make", "-s", "-j2", "run")
        comparison.files = ["part1.o", "part5.o", "program"]
        comparison.prepare = { folder in
            for part in 1...6 {
                let functions = (0..<60).map {
                    "int part\(part)_\($0)(int x) { return x * \($0 + part) % 97 + \(part); }"
                }
                let all = (0..<60).map { "x = part\(part)_\($0)(x);" }.joined(separator: " ")
                let text = functions.joined(separator: "\n") + "\nint part\(part)(int x) { \(all) return x; }\n"
                try text.write(to: folder.appendingPathComponent("part\(part).c"), atomically: true, encoding: .utf8)
            }
            let declared = (1...6).map { "int part\($0)(int);" }.joined(separator: " ")
            let called = (1...6).map { "part\($0)(" }.reversed().joined() + "7" + String(repeating: ")", count: 6)
            let main = "#include <stdio.h>\n\(declared)\nint main(void) { printf(\"%d\\n\", \(called)); return 0; }\n"
            try main.write(to: folder.appendingPathComponent("main.c"), atomically: true, encoding: .utf8)
            let makefile = """
                parts := $(patsubst %.c,%.o,$(wildcard part*.c))
                run: program
                \t./program
                program: main.o parts.a
                \tgcc -Wl,--build-id=none -o $@ $^
                parts.a: $(sort $(parts))
                \tar rcsD $@ $^
                %.o: %.c
                \tgcc -O2 -c -o $@ $<

                """
            try makefile.write(to: folder.appendingPathComponent("Makefile"), atomically: true, encoding: .utf8)
        }
        let run = try await comparison.expectSame()
        #expect(run.processes.count > 20, "only \(run.processes.count) processes said that they ran on Mallow")
    }

    /// A package of four files, by two jobs, with and without optimisation.
    @Test(arguments: [["-Onone"], ["-O", "-whole-module-optimization", "-num-threads", "2"]])
    func compilesSwift(options: [String]) async throws {
        let files = ["Tree.swift", "Expressions.swift", "Shapes.swift", "main.swift"]
        let line = ["swiftc", "-j2", "-module-name", "Small", "-o", "small"] + options + files
        var comparison = Comparison("bash", "--norc", "-c", line.joined(separator: " ") + " && ./small")
        comparison.startsOneProcess = false
        comparison.prepare = { folder in
            for file in files { try copy("SmallPackage/\(file)", to: folder) }
        }
        let run = try await comparison.expectSame()
        #expect(run.outcome.text.contains("scaled square"), "\(run.outcome.summary)")
        #expect(run.processes.contains { $0.peakLiveBytes > 10_000_000 }, "no compiler among \(run.processes.count)")
    }

    @Test func swiftConcurrency() async throws {
        var comparison = Comparison(try await Workshop.shared.program("concurrency.swift").path)
        comparison.modes = [.hardened]
        comparison.status = 4
        let run = try await comparison.expectSame()
        #expect(run.statistics?.allocations ?? 0 > 500_000)
        #expect(run.statistics?.peakThreads ?? 0 > 1)
    }

    @Test func cxxThreads() async throws {
        var comparison = Comparison(try await Workshop.shared.program("program.cpp").path)
        comparison.modes = [.background]
        comparison.status = 6
        let run = try await comparison.expectSame()
        #expect(run.statistics?.remoteFrees ?? 0 > 1000)
    }
}

private func copy(_ name: String, to folder: URL) throws {
    let file = Checkout.programs.appendingPathComponent(name)
    try FileManager.default.copyItem(at: file, to: folder.appendingPathComponent(file.lastPathComponent))
}
