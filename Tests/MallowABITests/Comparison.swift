// How a real program is tested: it runs under the system malloc, then on Mallow without and with statistics, in a
// folder that was prepared alike for all, and must end alike and write the same, byte for byte, to standard output and
// to the files that are named. The statistics prove that its blocks were Mallow's.

import Foundation
import Testing

/// How else a program runs on Mallow than by default. Nothing of what it writes may change.
enum Mode: String, CaseIterable {
    /// What is free goes back to the kernel at the next slow call.
    case noDelay
    /// The background purger gives it back.
    case background
    /// As much memory as the program's blocks took at their peak, and little more: with statistics, which tell the
    /// peak, a program may have a page or two fewer.
    case limited
    /// Every block checked, and with the second level a quarantine, guard pages and random places.
    case hardened
    case strict
    /// One block in fifty between inaccessible pages.
    case guarded

    /// Whether each program is to run in every mode, whatever its test says: `make real-programs`.
    static let areAllWanted = ProcessInfo.processInfo.environment["MALLOW_TEST_ALL_MODES"] == "1"

    /// All but the limit, which only a program keeps to that takes the same memory each time.
    static let exact = allCases.filter { $0 != .limited }

    /// `peak`: the bytes that the largest of the program's processes had at once.
    func settings(peak: Int) -> [String: String] {
        switch self {
        case .noDelay: ["MALLOW_PURGE_DELAY": "0"]
        case .background: ["MALLOW_BACKGROUND": "1"]
        case .limited: ["MALLOW_LIMIT": "\(peak + (1 << 20))"]
        case .hardened: ["MALLOW_HARDENED": "1"]
        case .strict: ["MALLOW_HARDENED": "2"]
        case .guarded: ["MALLOW_GUARD_RATE": "50"]
        }
    }
}

struct Comparison {
    var command: Command
    /// Each is one more run: all of them for quick programs, one for those that take a second.
    var modes: [Mode] = []
    /// What the program must end with under both; a program that fails alike under both proves nothing.
    var status: Int32 = 0
    /// Whether the process that is started must have used Mallow and said so; else one that it started is enough.
    var startsOneProcess = true
    /// Files in the folder that the run leaves, to be compared too.
    var files: [String] = []
    /// Puts into the folder what the run needs.
    var prepare: (URL) async throws -> Void = { _ in }
    /// Whether standard error must be the same too.
    var comparesErrors = true

    init(_ arguments: String..., environment: [String: String] = [:]) {
        command = Command()
        command.arguments = arguments
        command.environment = environment
    }

    /// All runs; returns the one on Mallow with statistics.
    @discardableResult
    func expectSame() async throws -> MallowRun {
        var command = command
        let name = command.arguments.joined(separator: " ").prefix(80)
        // The same folder again, emptied: its path may end up in what a program writes.
        let folder = try TemporaryFolder.make("work")
        command.directory = folder
        try await prepare(folder)
        let plain = try await command.run()
        let plainFiles = try contents(in: folder)
        try #require(plain.ending == .exited(status), "\(name), under the system malloc: \(plain.summary)")

        // Once as users run it, and once with statistics: the proof, and another path through malloc.
        let preloaded = try command.preloaded()
        try await renew(folder)
        try expectSame(try await preloaded.run(), plain, plainFiles, folder, "\(name), on Mallow")
        try await renew(folder)
        let run = try await command.runOnMallow()
        try expectSame(run.outcome, plain, plainFiles, folder, "\(name), with statistics")
        let peak = run.processes.map(\.peakCommittedBytes).max() ?? 0
        let modes = Mode.areAllWanted ? Mode.exact + modes.filter { $0 == .limited } : modes
        for mode in modes {
            try await renew(folder)
            var other = preloaded
            other.environment.merge(mode.settings(peak: peak)) { $1 }
            try expectSame(try await other.run(), plain, plainFiles, folder, "\(name), \(mode)")
        }
        if Mode.areAllWanted {
            for limit in [peak / 2, peak / 10, 100_000] {
                try await renew(folder)
                try await expectItsOwnWords(preloaded, limit: limit, "\(name), limited to \(limit) bytes")
            }
        }
        let proofs = startsOneProcess ? run.statistics.map { [$0] } ?? [] : run.processes
        let proven = proofs.contains { $0.allocations > 0 }
        #expect(proven, "\(name): no sign of Mallow in \(run.processes.count) processes")
        return run
    }

    /// With too little memory a program may fail in any way of its own, by `abort` too; but it ends, and Mallow has
    /// nothing to complain of.
    private func expectItsOwnWords(_ command: Command, limit: Int, _ name: String) async throws {
        var command = command
        command.environment["MALLOW_LIMIT"] = "\(max(limit, 1))"
        let outcome = try await command.run()
        switch outcome.ending {
        case .exited: break
        case .killed(let signal): #expect(signal != SIGSEGV && signal != SIGBUS, "\(name): \(outcome.summary)")
        case .timedOut: Issue.record("\(name): \(outcome.summary)")
        }
        #expect(!outcome.errorLines.contains { $0.hasPrefix("mallow: ") }, "\(name): \(outcome.summary)")
    }

    private func renew(_ folder: URL) async throws {
        try FileManager.default.removeItem(at: folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        try await prepare(folder)
    }

    private func expectSame(
        _ outcome: Outcome, _ plain: Outcome, _ plainFiles: [String: Data], _ folder: URL, _ name: String
    ) throws {
        #expect(outcome.ending == .exited(status), "\(name): \(outcome.summary)")
        // Not compared by the macro, which would look for the shortest way from the one to the other.
        let isSame = outcome.output == plain.output
        #expect(isSame, "\(name): \(firstDifference(plain.output, outcome.output))")
        if comparesErrors {
            #expect(outcome.errorText == plain.errorText, "\(name)")
        }
        for (file, content) in try contents(in: folder) {
            let before = try #require(plainFiles[file])
            let isUnchanged = content == before
            #expect(isUnchanged, "\(name), \(file): \(firstDifference(before, content))")
            #expect(!content.isEmpty, "\(name): \(file) is empty")
        }
    }

    private func contents(in folder: URL) throws -> [String: Data] {
        let pairs = try files.map { ($0, try Data(contentsOf: folder.appendingPathComponent($0))) }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    private func firstDifference(_ first: Data, _ second: Data) -> String {
        let place = zip(first, second).enumerated().first { $1.0 != $1.1 }?.offset ?? min(first.count, second.count)
        let around = max(0, place - 40)
        let (left, right) = (first.dropFirst(around).prefix(120), second.dropFirst(around).prefix(120))
        return """
            \(first.count) and \(second.count) bytes, different from byte \(place) on:
            \(String(decoding: left, as: UTF8.self))
            \(String(decoding: right, as: UTF8.self))
            """
    }
}
