// The whole malloc family, against C and C++ programs that know nothing of Mallow. Each runs under the system malloc
// first: what fails there is a mistake in the program. Then it runs on Mallow, once as users run it and once with
// statistics, which prove that it did, and which malloc counts on another path.

import Foundation
import FoundationXML
import Testing

@Suite struct ConformanceTests {
    @Test(
        arguments: [
            "conformance_sizes.c", "conformance_family.c", "conformance_limits.c", "conformance_realloc.c",
            "conformance_random.c", "conformance_calloc.c", "conformance_memory_limit.c", "conformance_threads.c",
            "conformance_thread_exit.c", "conformance_thread_local.cpp", "conformance_after_main.c",
            "conformance_short_threads.c", "conformance_fork.c", "conformance_spawn.c", "conformance_information.c",
            "conformance_idle_memory.c", "conformance_realloc_race.c",
        ])
    func conforms(source: String) async throws {
        try await expectConformance(of: Workshop.shared.program(source))
    }

    /// Another seed each, so that what one sequence of calls misses another may meet.
    @Test(arguments: [1, 2, 3])
    func conformsAtRandom(seed: Int) async throws {
        try await expectConformance(of: Workshop.shared.program("conformance_random.c"), ["\(seed)000000"])
    }

    @Test func conformsInLoadedLibraries() async throws {
        let plugin = try await Workshop.shared.program("plugin.c", flags: ["-shared", "-fPIC"])
        try await expectConformance(of: Workshop.shared.program("conformance_dlopen.c"), [plugin.path])
    }

    /// `malloc_info` writes XML in glibc's shape, whose totals cover the 40 MB that the program holds.
    @Test func describesItselfInXML() async throws {
        let program = try await Workshop.shared.program("conformance_information.c")
        let command = Command(program.path, "xml")
        for command in [command, try command.preloaded()] {
            let outcome = try await command.run()
            #expect(outcome.succeeded, "\(outcome.summary)")
            let document = Elements()
            let parser = XMLParser(data: outcome.output)
            parser.delegate = document
            #expect(parser.parse(), "not XML: \(parser.parserError.debugDescription)\n\(outcome.text.prefix(2000))")
            #expect(document.found.first?.name == "malloc")
            #expect(document.found.first?.attributes["version"] == "1")
            let current = document.found.last { $0.name == "system" && $0.attributes["type"] == "current" }
            #expect(Int(current?.attributes["size"] ?? "") ?? 0 >= 40_000_000, "\(outcome.text.prefix(2000))")
        }
    }

    /// `free_sized` and the other names that glibc lacks or hides: on Mallow alone.
    @Test func hasTheNamesThatGlibcLacks() async throws {
        let outcome = try await Command(Workshop.shared.program("extensions.c").path).preloaded().run()
        expectConforming(outcome, "Mallow")
    }

    private func expectConformance(of program: URL, _ arguments: [String] = []) async throws {
        var command = Command(program.path)
        command.arguments += arguments
        expectConforming(try await command.run(), "the system malloc")
        expectConforming(try await command.preloaded().run(), "Mallow")
        let run = try await command.runOnMallow()
        expectConforming(run.outcome, "Mallow with statistics")
        #expect(try #require(run.statistics).allocations > 0)
    }

    private func expectConforming(_ outcome: Outcome, _ name: String) {
        #expect(outcome.succeeded, "under \(name): \(outcome.summary)")
        #expect(outcome.errorText == "", "under \(name)")
        #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "under \(name): \(outcome.summary)")
    }
}

/// Collects the start tags of a document.
private final class Elements: NSObject, XMLParserDelegate {
    var found: [(name: String, attributes: [String: String])] = []

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String] = [:]
    ) {
        found.append((name, attributes))
    }
}
