// Mallow linked rather than preloaded: `libmallow.a` in C programs (dynamic, static, static and position-independent)
// and in Swift programs (standard library dynamic and static), `libmallow.so` by `-lmallow` and its own names, and
// loaded by `dlopen` beside the system malloc.

import Foundation
import Testing

@Suite struct LinkTests {
    private static let waysToLinkC: [[String]] = [[], ["-static"], ["-static-pie", "-fPIE"], ["-no-pie"]]

    @Test(arguments: waysToLinkC)
    func linksIntoC(way: [String]) async throws {
        try await expectPassing("linked.c", way)
    }

    /// What is different without a loader: thread exit (keys exist before the first malloc), exit, fork, and a C
    /// library whose own calls to malloc were bound by the linker.
    @Test(arguments: [
        "conformance_thread_exit.c", "conformance_after_main.c", "conformance_fork.c", "conformance_family.c",
        "conformance_thread_local.cpp",
    ])
    func conformsWhenStatic(source: String) async throws {
        try await expectPassing(source, ["-static"])
    }

    /// A C program that needs no library at all, not even glibc's at run time: musl's, by the package musl-tools.
    @Test(arguments: ["linked.c", "conformance_thread_exit.c", "conformance_after_main.c", "conformance_fork.c"])
    func linksIntoStaticMusl(source: String) async throws {
        #if arch(x86_64)
            let specifications = "/usr/lib/x86_64-linux-musl/musl-gcc.specs"
        #else
            let specifications = "/usr/lib/aarch64-linux-musl/musl-gcc.specs"
        #endif
        try await expectPassing(source, ["-specs", specifications, "-static"])
    }

    @Test(arguments: [
        ["-dynamic"], ["-static-stdlib"], ["-static-stdlib", "-Xlinker", "--gc-sections"], ["-static-executable"],
    ])
    func linksIntoSwift(way: [String]) async throws {
        let header = try Library.headers().appendingPathComponent("mallow.h").path
        let archive = try Library.archive().path
        var flags = ["-import-objc-header", header, "-Xlinker", archive]
        flags += way.filter { $0 != "-dynamic" }
        let program = try await Workshop.shared.program("linked.swift", flags: flags)
        let outcome = try await Command(program.path).run()
        #expect(outcome.succeeded && outcome.text == "linked\n" && outcome.errorText == "", "\(outcome.summary)")
    }

    @Test func offersItsOwnNames() async throws {
        let folder = try Library.shared().deletingLastPathComponent().path
        let header = try Library.headers().path
        let flags = ["-I\(header)", "-L\(folder)", "-Wl,-rpath,\(folder)", "-lmallow"]
        let outcome = try await Command(Workshop.shared.program("own_names.c", flags: flags).path).run()
        expectPassed(outcome)
    }

    /// The program that is linked by `-lmallow` needs the library by its soname, and the header is C++ too.
    @Test func headerIsCxxAndPedantic() async throws {
        let folder = try TemporaryFolder.make("header")
        for (name, compiler) in [("use.c", ["cc", "-std=c99"]), ("use.cpp", ["c++", "-std=c++11"])] {
            let file = folder.appendingPathComponent(name)
            let text = """
                #include <mallow.h>
                struct pair { void *left, *right; };
                MALLOW_BUCKET(pair);
                MALLOW_BUCKET_TYPE(double, number);
                int main(void) { mallow_free(mallow_malloc(1)); pair_free(pair_allocate()); return 0; }

                """
            try text.write(to: file, atomically: true, encoding: .utf8)
            var command = Command()
            let strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror", "-fsyntax-only"]
            command.arguments = compiler + strict.filter { name == "use.c" || $0 != "-Wstrict-prototypes" }
            command.arguments += ["-I\(try Library.headers().path)", file.path]
            let outcome = try await command.run()
            #expect(outcome.succeeded && outcome.errorText == "", "\(outcome.summary)")
        }
    }

    @Test func loadsBesideTheSystemMalloc() async throws {
        let library = try Library.shared().path
        let outcome = try await Command(Workshop.shared.program("beside.c").path, library).run()
        expectPassed(outcome)
    }

    private func expectPassing(_ source: String, _ way: [String]) async throws {
        let flags = try ["-I\(Library.headers().path)", Library.archive().path] + way
        let outcome = try await Command(Workshop.shared.program(source, flags: flags).path).run()
        expectPassed(outcome)
    }

    private func expectPassed(_ outcome: Outcome) {
        #expect(outcome.succeeded, "\(outcome.summary)")
        #expect(outcome.errorText == "")
        #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
    }
}
