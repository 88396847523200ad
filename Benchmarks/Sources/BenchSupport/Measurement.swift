// Rounds: every contestant once a round, in an order that rotates, so that what the machine does meanwhile hits all
// alike; each in a child process of its own, so that what it leaves in malloc's heap hits nobody.

import CBenchSupport
import Foundation

package struct Figures: Codable {
    package let contestant: String
    package let isMallow: Bool
    package let hasColumn: Bool
    /// Nanoseconds a block, the fastest run of each round.
    package let rounds: [Double]
    /// Bytes a block of what `WorkloadResult.bytesTitle` says.
    package var bytesPerBlock: Double?
    /// What `WorkloadResult.extraTitles` names.
    package var extras: [Double]?

    package var median: Double {
        let sorted = rounds.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// From the fastest to the slowest round, as a part of the median.
    package var spread: Double { (rounds.max()! - rounds.min()!) / median }
}

package struct WorkloadResult: Codable {
    package let workload: String
    package let title: String
    package let bytesTitle: String
    package let extraTitles: [String]
    package let figures: [Figures]

    package func median(of contestant: String) -> Double? { figures.first { $0.contestant == contestant }?.median }
}

struct MeasurementError: Error, CustomStringConvertible {
    let description: String
}

/// - Parameter part: a run does this part of the workload's steps, and in a round there is one: for a look.
func measure(
    _ workload: Workload, rounds: Int, only: String?, part: Int?, memory: InputMemory
) throws -> WorkloadResult {
    var input = memory.input(for: workload)
    if let part { input.count = max(1, input.count / part) }
    let runsPerRound = part == nil ? workload.runsPerRound : 1
    let contestants = workload.contestants().filter { contestant in
        only.map { contestant.name.localizedCaseInsensitiveContains($0) } ?? true
    }
    let blocks = Double(input.count * workload.blocksPerStep)
    var times = [[Double]](repeating: [], count: contestants.count)
    for round in 0..<rounds {
        for position in contestants.indices {
            let index = (round + position) % contestants.count
            let result = try inChild(contestants[index].name) { result in
                let run = try contestants[index].prepare()
                // The first one is for caches and page tables.
                _ = try run(input)
                result.nanoseconds = .max
                for _ in 0..<runsPerRound { result.nanoseconds = min(result.nanoseconds, try run(input)) }
            }
            times[index].append(Double(result.nanoseconds) / blocks)
        }
    }
    let figures = try contestants.indices.map { index in
        let contestant = contestants[index]
        let bytes = try contestant.bytesWhenFull.map { bytesWhenFull in
            try inChild(contestant.name) { $0.bytes = try bytesWhenFull(input) }.bytes
        }
        let extras = try contestant.extras.map { extras in
            let result = try inChild(contestant.name) { result in
                let figures = try extras(input)
                withUnsafeMutableBytes(of: &result.extras) { memory in
                    figures.withUnsafeBytes { memory.copyMemory(from: $0) }
                }
            }
            let figures = withUnsafeBytes(of: result.extras) { Array($0.bindMemory(to: Double.self)) }
            return Array(figures.prefix(workload.extraTitles.count))
        }
        return Figures(
            contestant: contestant.name, isMallow: contestant.isMallow, hasColumn: contestant.hasColumn,
            rounds: times[index], bytesPerBlock: bytes.map { Double($0) / Double(workload.bytesBlockCount) },
            extras: extras)
    }
    return WorkloadResult(
        workload: workload.name, title: workload.title, bytesTitle: workload.bytesTitle,
        extraTitles: workload.extraTitles, figures: figures)
}

/// Calls the closure in a child process, and returns what it wrote.
private func inChild(_ name: String, _ body: @escaping (inout bench_result) throws -> Void) throws -> bench_result {
    final class Body {
        let call: (inout bench_result) throws -> Void

        init(_ call: @escaping (inout bench_result) throws -> Void) { self.call = call }
    }
    var result = bench_result()
    let context = Unmanaged.passRetained(Body(body))
    defer { context.release() }
    let ended = bench_in_child(
        { context, result in
            let body = Unmanaged<Body>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
            do { try body.call(&result.unsafelyUnwrapped.pointee) } catch { fatalError("\(error)") }
        }, context.toOpaque(), &result)
    guard ended else { throw MeasurementError(description: "\(name) did not end well") }
    return result
}
