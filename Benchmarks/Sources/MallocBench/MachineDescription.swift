// What the figures were measured on: a table of times means nothing without it.

import Foundation

#if canImport(Glibc)
    import Glibc
#endif

struct MachineDescription: Codable, Sendable {
    struct Library: Codable, Sendable {
        let name: String
        let version: String
    }

    let processor: String
    let coreCount: Int
    let memoryBytes: UInt64
    let kernel: String
    /// "glibc 2.36"
    let systemLibrary: String
    let transparentHugePages: String
    /// Of the minute before the start: above 0.5 or so, other programs took part in what was measured.
    let loadAverage: Double
    let date: String
    let libraries: [Library]
    /// Settings in the environment that a malloc reads.
    let mallocSettings: [String]

    static func current(allocators: [AllocatorUnderTest]) -> MachineDescription {
        let information = ProcessInfo.processInfo
        let settings = information.environment.filter { variable in
            settingPrefixes.contains { variable.key.hasPrefix($0) }
        }
        return MachineDescription(
            processor: processorModel(),
            coreCount: information.activeProcessorCount,
            memoryBytes: information.physicalMemory,
            kernel: firstLine(of: "/proc/sys/kernel/osrelease") ?? "unknown",
            systemLibrary: systemLibraryVersion(),
            transparentHugePages: selectedChoice(in: "/sys/kernel/mm/transparent_hugepage/enabled"),
            loadAverage: loadAverageOfLastMinute(),
            date: ISO8601DateFormatter().string(from: Date()),
            libraries: allocators.filter { $0.role == .rival }.map {
                Library(name: $0.name, version: $0.package.flatMap(packageVersion) ?? "unknown version")
            },
            mallocSettings: settings.map { "\($0.key)=\($0.value)" }.sorted())
    }

    var lines: [String] {
        let memory = String(format: "%.1f GB", Double(memoryBytes) / 1e9)
        var lines = [
            "\(processor), \(coreCount) cores, \(memory); Linux \(kernel), huge pages: \(transparentHugePages)",
            ([systemLibrary] + libraries.map { "\($0.name) \($0.version)" }).joined(separator: ", ")
                + "; load \(loadAverage); \(date)",
        ]
        if !mallocSettings.isEmpty {
            lines.append("settings in the environment: " + mallocSettings.joined(separator: " "))
        }
        return lines
    }

    private static let settingPrefixes = ["MALLOW_", "MALLOC_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES"]

    private static func processorModel() -> String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("model name") || line.hasPrefix("CPU part") {
            if let value = line.split(separator: ":", maxSplits: 1).last {
                return value.trimmingCharacters(in: .whitespaces)
            }
        }
        return "unknown processor"
    }

    private static func firstLine(of path: String) -> String? {
        let text = try? String(contentsOfFile: path, encoding: .utf8)
        return text?.split(separator: "\n").first.map(String.init)
    }

    /// The kernel puts brackets around the choice in force: `always [madvise] never`.
    private static func selectedChoice(in path: String) -> String {
        guard let line = firstLine(of: path) else { return "unknown" }
        let chosen = line.split(separator: " ").first { $0.hasPrefix("[") }
        return chosen.map { String($0.dropFirst().dropLast()) } ?? line
    }

    private static func loadAverageOfLastMinute() -> Double {
        firstLine(of: "/proc/loadavg")?.split(separator: " ").first.flatMap { Double($0) } ?? 0
    }

    private static func systemLibraryVersion() -> String {
        var text = [UInt8](repeating: 0, count: 64)
        let length = text.withUnsafeMutableBytes { bytes in
            confstr(Int32(_CS_GNU_LIBC_VERSION), bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return length > 1 ? String(decoding: text[..<(min(length, text.count) - 1)], as: UTF8.self) : "unknown libc"
    }

    private static func packageVersion(_ package: String) -> String? {
        let query = "/usr/bin/dpkg-query"
        guard FileManager.default.isExecutableFile(atPath: query) else { return nil }
        let outcome = ChildProcess.run(
            query, arguments: ["-W", "-f=${Version}", package], environment: ["PATH=/usr/bin:/bin"], timeLimit: 10)
        return outcome.failure == nil && !outcome.output.isEmpty ? outcome.output : nil
    }
}
