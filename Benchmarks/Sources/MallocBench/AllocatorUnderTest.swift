// The mallocs to compare: glibc's (nothing preloaded), Mallow, the rivals that Debian packages, and any other that is
// named. A library is looked for where distributions put it; one that is missing is reported with how to install it.

import Foundation

struct AllocatorUnderTest: Equatable, Sendable {
    enum Role: String, Codable { case system, mallow, rival }

    let name: String
    let role: Role
    /// Absolute path of the library to preload; nil for the system's own malloc.
    let libraryPath: String?
    /// The Debian package it may come from.
    let package: String?
    /// Added to the environment, as `NAME=value`.
    var settings: [String] = []

    /// The same with its background thread, for those that have one.
    var withBackgroundThread: AllocatorUnderTest? {
        let setting: String
        switch name {
        case "mallow": setting = "MALLOW_BACKGROUND=1"
        case "jemalloc": setting = "MALLOC_CONF=background_thread:true"
        default: return nil
        }
        return AllocatorUnderTest(
            name: name + " with its thread", role: role, libraryPath: libraryPath, package: package,
            settings: [setting])
    }

    static let system = AllocatorUnderTest(name: "glibc", role: .system, libraryPath: nil, package: "libc6")

    /// The mallocs that were found, in the order of the tables, and what to tell about those that were not.
    static func find(
        mallowPath: String?, extra: [NamedPath], only: String?
    ) throws -> (allocators: [AllocatorUnderTest], notes: [String]) {
        let wanted = only.map { Set($0.split(separator: ",").map(String.init)) }
        func isWanted(_ name: String) -> Bool { wanted?.contains(name) ?? true }

        var allocators: [AllocatorUnderTest] = []
        var missingPackages: [String] = []
        if isWanted("glibc") { allocators.append(system) }
        if isWanted("mallow") { allocators.append(try findMallow(at: mallowPath)) }
        for rival in packagedRivals where isWanted(rival.name) {
            if let path = rival.findLibrary() {
                allocators.append(.init(name: rival.name, role: .rival, libraryPath: path, package: rival.package))
            } else {
                missingPackages.append(rival.package)
            }
        }
        for named in extra where isWanted(named.name) {
            guard FileManager.default.fileExists(atPath: named.path) else {
                throw BenchmarkError("there is no file '\(named.path)' (--allocator \(named.name)=…)")
            }
            let path = absolute(named.path)
            allocators.append(.init(name: named.name, role: .rival, libraryPath: path, package: nil))
        }
        try checkNames(of: allocators, wanted: wanted)
        guard !missingPackages.isEmpty else { return (allocators, []) }
        return (allocators, ["Not installed: apt-get install \(missingPackages.joined(separator: " "))"])
    }

    private static func checkNames(of allocators: [AllocatorUnderTest], wanted: Set<String>?) throws {
        let names = allocators.map(\.name)
        guard Set(names).count == names.count else {
            throw BenchmarkError("two mallocs have the same name: \(names.joined(separator: ", "))")
        }
        if let missing = wanted?.subtracting(names).sorted(), !missing.isEmpty {
            throw BenchmarkError("--only: not found: \(missing.joined(separator: ", "))")
        }
        if names.isEmpty { throw BenchmarkError("no malloc is left to measure") }
    }

    private static func findMallow(at path: String?) throws -> AllocatorUnderTest {
        let candidates = path.map { [$0] } ?? ["build/lib/libmallow.so", "../build/lib/libmallow.so"]
        guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw BenchmarkError(
                """
                libmallow.so is not at \(candidates.joined(separator: " or ")): run `make lib`, name it with --mallow, \
                or leave it out with --only
                """)
        }
        return .init(name: "mallow", role: .mallow, libraryPath: absolute(found), package: nil)
    }

    private static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }
}

/// A malloc that distributions package.
private struct PackagedRival {
    let name: String
    /// How the library's file name begins: the rest is a version.
    let fileNamePrefix: String
    let package: String

    func findLibrary() -> String? {
        for directory in libraryDirectories {
            let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            // The shortest is the one named by the library's soname.
            let matching = files.filter { $0.hasPrefix(fileNamePrefix) }
            if let file = matching.min(by: { ($0.count, $0) < ($1.count, $1) }) { return "\(directory)/\(file)" }
        }
        return nil
    }
}

private let packagedRivals = [
    PackagedRival(name: "mimalloc", fileNamePrefix: "libmimalloc.so.", package: "libmimalloc2.0"),
    PackagedRival(name: "jemalloc", fileNamePrefix: "libjemalloc.so.2", package: "libjemalloc2"),
    PackagedRival(name: "tcmalloc", fileNamePrefix: "libtcmalloc_minimal.so.4", package: "libtcmalloc-minimal4"),
]

private var libraryDirectories: [String] {
    #if arch(arm64)
        let triple = "aarch64-linux-gnu"
    #else
        let triple = "x86_64-linux-gnu"
    #endif
    return ["/usr/local/lib", "/usr/lib/\(triple)", "/usr/lib64", "/usr/lib"]
}
