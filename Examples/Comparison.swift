// Runs the same work under two allocators, in a process of its own each time, in turn, and prints both side by side.

import Foundation

/// What one run of the work measured, as its process printed it.
struct Run: Codable {
    var milliseconds: Double
    /// What `compare(blocks:…)` names: blocks allocated, or the most at once.
    var blocks: Int
    var leakedBlocks: Int
    /// Tells whether two runs did the same work.
    var checksum: UInt64
    var peakKiB = 0
}

enum Side: String, CaseIterable {
    case system, mallow

    var title: String { self == .system ? "system malloc" : "Mallow" }
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data((message + "\n").utf8))
    exit(1)
}

/// The most memory that this process ever had resident.
func peakKiB() -> Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
}

/// Calls itself for each run, `rounds` times each side in turn; `blocks` is what the count of blocks means.
func compare(rounds: Int, blocks: String, arguments: [String] = []) throws {
    var runs: [Side: [Run]] = [:]
    for _ in 0..<rounds {
        for side in Side.allCases {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments = ["--run", side.rawValue] + arguments
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { fail("the run on \(side.title) failed") }
            runs[side, default: []].append(try JSONDecoder().decode(Run.self, from: data))
        }
    }
    report(runs, blocks)
    let all = Side.allCases.flatMap { runs[$0]! }
    guard Set(all.map(\.checksum)).count == 1 else { fail("the runs differ in their results") }
    guard all.allSatisfy({ $0.leakedBlocks == 0 }) else { fail("blocks leaked") }
}

private func report(_ runs: [Side: [Run]], _ blocks: String) {
    func column(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
    let header = ["time, median", "least … most", "peak resident", blocks, "leaked"]
    print(column("", 14) + header.map { column($0, 20) }.joined())
    for side in Side.allCases {
        let times = runs[side]!.map(\.milliseconds).sorted()
        let peaks = runs[side]!.map(\.peakKiB).sorted()
        let cells = [
            String(format: "%.0f ms", times[times.count / 2]),
            String(format: "%.0f … %.0f ms", times.first!, times.last!),
            String(format: "%.1f MiB", Double(peaks[peaks.count / 2]) / 1024),
            "\(runs[side]![0].blocks)", "\(runs[side]!.map(\.leakedBlocks).max()!)",
        ]
        print(side.title.padding(toLength: 14, withPad: " ", startingAt: 0) + cells.map { column($0, 20) }.joined())
    }
}
