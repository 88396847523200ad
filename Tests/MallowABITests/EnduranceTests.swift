// A moment of what `make soak` and `make forks` do for minutes: so that those work when they are wanted.

import Testing

@Suite struct EnduranceTests {
    /// One cycle: memory is bounded by what the program holds, and when it is quiet by what its blocks touch. The
    /// program itself waits until what is due has gone.
    @Test func soaks() async throws {
        let outcome = try await Command(Workshop.shared.program("soak.c").path, "1").preloaded().run()
        #expect(outcome.succeeded && outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
    }

    /// Beside the thousand of ConformanceTests, which are by default and with statistics.
    @Test(arguments: Mode.allCases) func forks(mode: Mode) async throws {
        var command = try await Command(Workshop.shared.program("conformance_fork.c").path, "100").preloaded()
        // A limit that it does not get by with.
        command.environment.merge(mode.settings(peak: 2 << 20)) { $1 }
        let outcome = try await command.run()
        #expect(outcome.succeeded && outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
    }
}
