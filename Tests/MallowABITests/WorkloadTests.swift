// The workloads of the benchmarks, at a hundredth of their length, with every check that they have: each must come to
// its right result on Mallow. Some pass blocks from thread to thread in ways that no other test does.

import Foundation
import Testing

@Suite struct WorkloadTests {
    @Test func workloadsComeToTheirRightResults() async throws {
        let folder = Checkout.root.appendingPathComponent("Benchmarks/Sources/MallocWorkloads")
        let sources = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasSuffix(".c") }.map { folder.appendingPathComponent($0).path }.sorted()
        let program = try TemporaryFolder.make("workloads").appendingPathComponent("MallocWorkloads").path
        var compile = Command("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-pthread", "-fno-builtin-malloc")
        compile.arguments += ["-fno-builtin-free", "-fno-math-errno", "-Wall", "-Wextra", "-Werror", "-o", program]
        compile.arguments += sources
        try await compile.runOrThrow()

        // One process each, one shell for all: it prints a line a workload, and stops at the first that fails.
        let script = """
            set -e
            "$0" --list | while read -r name rest; do
                LD_PRELOAD="$1" "$0" --check --scale 0.01 "$name"
            done
            """
        let library = try Library.shared().path
        let outcome = try await Command("bash", "-o", "pipefail", "-c", script, program, library).run()
        #expect(outcome.succeeded, "\(outcome.summary)")
        #expect(outcome.lines.count >= 20, "\(outcome.summary)")
        for line in outcome.lines {
            #expect(line.hasSuffix(" malloc=\(library)"), "\(line)")
        }
    }
}
