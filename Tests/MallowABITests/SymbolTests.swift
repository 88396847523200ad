// What the two libraries show to the world: exactly the names in `exported-symbols.txt`, with the visibility that
// preloading needs, no Swift runtime in either direction, and the C library as the only thing needed.

import Foundation
import Testing

@Suite struct SymbolTests {
    @Test func sharedLibraryExportsTheListedNames() async throws {
        let allowed = try allowList()
        let exported = try await dynamicSymbols().filter { $0.section != "UND" }
        #expect(Set(exported.map(\.name)) == allowed, "\(difference(Set(exported.map(\.name)), allowed))")
        for symbol in exported {
            // A protected `malloc` makes programs that are not position-independent print a loader's warning.
            #expect(symbol.visibility == "DEFAULT", "\(symbol.name) is \(symbol.visibility)")
            #expect(symbol.type == "FUNC", "\(symbol.name) is \(symbol.type)")
        }
    }

    @Test func sharedLibraryNeedsTheCLibraryAlone() async throws {
        let entries = try await tool("readelf", "-dW", Library.shared().path).filter { $0.contains("(") }
        let needed = entries.filter { $0.contains("(NEEDED)") }
        #expect(needed.count == 1 && needed.allSatisfy { $0.contains("[libc.so.6]") }, "\(needed)")
        #expect(entries.contains { $0.contains("(SONAME)") && $0.contains("[libmallow.so.0]") }, "\(entries)")
        for forbidden in ["TEXTREL", "(RPATH)", "(RUNPATH)"] {
            #expect(!entries.contains { $0.contains(forbidden) }, "\(forbidden) in \(entries)")
        }
        let strangers = try await dynamicSymbols().filter { isSwift($0.name) }
        #expect(strangers.isEmpty, "\(strangers)")
    }

    /// A library that asks for an executable stack, or for a segment both writable and executable, is refused by
    /// hardened systems.
    @Test func sharedLibraryHasNoExecutableStack() async throws {
        let segments = try await tool("readelf", "-lW", Library.shared().path)
        let stack = segments.filter { $0.contains("GNU_STACK") }
        #expect(stack.count == 1 && stack.allSatisfy { !$0.contains("RWE") }, "\(stack)")
        #expect(!segments.contains { $0.contains("LOAD") && $0.contains("RWE") }, "\(segments)")
    }

    @Test func archiveDefinesTheListedNames() async throws {
        let allowed = try allowList()
        let archive = try Library.archive().path
        let defined = try await names("-g", "--defined-only", archive)
        #expect(defined == allowed, "\(difference(defined, allowed))")
        let undefined = try await names("-u", archive)
        #expect(undefined.isDisjoint(with: allowed))
        let strangers = undefined.filter(isSwift)
        #expect(strangers.isEmpty, "\(strangers)")
        #expect(!undefined.isEmpty, "an archive that calls nothing of the C library was not read")
    }

    /// Not a call to the Swift runtime from any instruction: it may not be there yet, or no longer.
    @Test func sharedLibraryCallsNoSwiftRuntime() async throws {
        let instructions = try await tool("objdump", "-d", "--no-show-raw-insn", Library.shared().path)
        let calls = instructions.filter { $0.contains("call ") || $0.contains("jmp ") || $0.contains("bl ") }
        #expect(calls.contains { $0.contains("mmap@plt") }, "a library that maps no memory was not read")
        let strangers = calls.filter { $0.contains("<swift_") || $0.contains("<_swift_") || $0.contains("<__swift_") }
        #expect(strangers.isEmpty, "\(strangers)")
    }

    #if arch(x86_64)
        /// What the heap promises of its hit paths: `make disassembly` shows them.
        @Test func hitPathsAreShort() async throws {
            let script = Checkout.root.appendingPathComponent("Scripts/disassembly.sh").path
            let counts = try await tool("bash", script, Library.shared().path).filter { $0.contains("hit path: ") }
            try #require(counts.count == 3, "\(counts)")
            for (line, limit) in zip(counts, [19, 27, 18]) {
                let count = line.split(separator: " ").compactMap { Int($0) }.first ?? .max
                #expect(count <= limit, "\(line)")
            }
        }
    #endif

    private struct Symbol {
        let name, type, visibility, section: String
    }

    private func dynamicSymbols() async throws -> [Symbol] {
        let table = try await tool("readelf", "--dyn-syms", "-W", Library.shared().path)
        let symbols = table.compactMap { line -> Symbol? in
            let fields = line.split(separator: " ").map(String.init)
            guard fields.count >= 8, fields[0].hasSuffix(":"), Int(fields[0].dropLast()) != nil else { return nil }
            let name = String(fields[7].prefix { $0 != "@" })
            return Symbol(name: name, type: fields[3], visibility: fields[5], section: fields[6])
        }
        try #require(symbols.contains { $0.name == "malloc" }, "readelf's table was not understood")
        return symbols
    }

    private func names(_ arguments: String...) async throws -> Set<String> {
        let lines = try await tool(["nm"] + arguments)
        return Set(lines.compactMap { $0.split(separator: " ") }.filter { $0.count > 1 }.map { String($0.last!) })
    }

    private func tool(_ arguments: String...) async throws -> [String] {
        try await tool(arguments)
    }

    private func tool(_ arguments: [String]) async throws -> [String] {
        var command = Command()
        command.arguments = arguments
        return try await command.runOrThrow().lines
    }

    private func isSwift(_ name: String) -> Bool {
        name.hasPrefix("swift_") || name.hasPrefix("$s") || name.hasPrefix("_swift") || name.hasPrefix("__swift")
    }

    private func allowList() throws -> Set<String> {
        let file = Checkout.tests.appendingPathComponent("exported-symbols.txt")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        return Set(lines.filter { !$0.hasPrefix("#") }.map(String.init))
    }

    private func difference(_ found: Set<String>, _ allowed: Set<String>) -> String {
        "too many: \(found.subtracting(allowed).sorted()), missing: \(allowed.subtracting(found).sorted())"
    }
}
