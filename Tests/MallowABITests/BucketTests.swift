// Buckets of mallow.h, as C and C++ programs use them: linked with the library and with the archive, from several source
// files and a loaded library at once, and in the report.

import Foundation
import Testing

@Suite struct BucketTests {
    @Test func workInSourceFilesAndLoadedLibraries() async throws {
        let header = try "-I\(Library.headers().path)"
        let folder = try Library.shared().deletingLastPathComponent().path
        let plugin = try await Workshop.shared.program("buckets_plugin.c", flags: ["-shared", "-fPIC", header])
        let program = try await Workshop.shared.program(
            "buckets.c", "buckets_other.c", flags: [header, "-L\(folder)", "-Wl,-rpath,\(folder)", "-lmallow"])
        expectPassed(try await Command(program.path, plugin.path).run())

        // With statistics every call takes another path, and the report has the classes that buckets added.
        let run = try await Command(program.path, plugin.path).runOnMallow()
        expectPassed(run.outcome)
        let classes = try #require(run.statistics).sizeClasses
        for size in [24, 40, 56] {
            #expect(classes.contains { $0.size == size && $0.allocations > 0 && $0.liveBlocks == 0 }, "\(classes)")
        }
        #expect(try #require(classes.first { $0.size == 24 }).allocations > 1_000_000)
        #expect(Set(classes.map(\.size)).count == classes.count, "a size is there twice: \(classes)")
    }

    @Test(arguments: [[], ["-static"]]) func workInCxx(way: [String]) async throws {
        let flags = try ["-I\(Library.headers().path)", Library.archive().path] + way
        expectPassed(try await Command(Workshop.shared.program("buckets.cpp", flags: flags).path).run())
    }

    private func expectPassed(_ outcome: Outcome) {
        #expect(outcome.succeeded, "\(outcome.summary)")
        #expect(outcome.errorText == "")
        #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
    }
}
