// `malloc-bench --memory`: what a process holds when a burst is over, under each malloc, beside the least that it could.

import ArgumentParser
import Foundation

/// What one run of one memory workload measured.
struct MemorySample: Sendable {
    /// Resident at the height of the burst, and after it.
    let fullBytes: Int
    let residentBytes: Int
    /// The OS pages that live blocks touch, and what the program has besides.
    let leastBytes: Int
    /// How long the load took, and the same load again into what was left; 0 where it is made once.
    let firstSeconds: Double
    let againSeconds: Double

    var ratio: Double { Double(residentBytes) / Double(leastBytes) }
}

struct MemoryComparison {
    let program: WorkloadProgram
    let allocators: [AllocatorUnderTest]
    let rounds: Int
    let workloads: [String]

    func run() throws {
        let known = try program.memoryNames()
        for name in workloads where !known.contains(name) {
            throw BenchmarkError("no memory workload is called '\(name)'; there are: \(known.joined(separator: ", "))")
        }
        print("Medians of \(rounds) rounds, MB; the least is what live blocks touch and the program has besides.")
        var failed = false
        let allocators = allocators + allocators.compactMap(\.withBackgroundThread)
        for name in workloads.isEmpty ? known : workloads {
            print("\n| \(name) | full | after | least | after / least | load, s | again, s |")
            print("|---|--:|--:|--:|--:|--:|--:|")
            var samples: [String: [MemorySample]] = [:]
            var failures: [String: String] = [:]
            for round in 0..<rounds {
                for position in allocators.indices {
                    let allocator = allocators[(round + position) % allocators.count]
                    guard failures[allocator.name] == nil else { continue }
                    do throws(BenchmarkError) {
                        samples[allocator.name, default: []].append(try program.runMemory(name, under: allocator))
                    } catch {
                        failures[allocator.name] = error.description
                    }
                }
            }
            for allocator in allocators {
                if let failure = failures[allocator.name] {
                    print("| \(allocator.name) | FAILED: \(failure) |")
                    failed = true
                } else if let samples = samples[allocator.name] {
                    print(Self.row(allocator.name, samples))
                }
            }
        }
        if failed { throw ExitCode.failure }
    }

    private static func row(_ name: String, _ samples: [MemorySample]) -> String {
        func median(_ value: (MemorySample) -> Double) -> Double {
            let values = samples.map(value).sorted()
            return (values[(values.count - 1) / 2] + values[values.count / 2]) / 2
        }
        let megabytes = [
            median { Double($0.fullBytes) }, median { Double($0.residentBytes) },
            median { Double($0.leastBytes) },
        ].map { String(format: "%.1f", $0 / 1e6) }
        let hasTimes = samples.allSatisfy { $0.firstSeconds > 0 }
        let times = [median(\.firstSeconds), median(\.againSeconds)].map {
            hasTimes ? String(format: "%.2f", $0) : "–"
        }
        let cells = [name] + megabytes + [String(format: "%.2f", median(\.ratio))] + times
        return "| " + cells.joined(separator: " | ") + " |"
    }
}
