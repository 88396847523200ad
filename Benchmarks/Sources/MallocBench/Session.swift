// The rounds of one workload: every malloc once a round, in an order that rotates.

import Foundation

#if canImport(Glibc)
    import Glibc
#endif

struct WorkloadResult: Sendable {
    let workload: String
    /// By the malloc's name, in the order of the rounds.
    var samples: [String: [Sample]] = [:]
    /// By the malloc's name: why it could not be measured. It is then left out of the comparison.
    var failures: [String: String] = [:]

    func figures(of allocator: AllocatorUnderTest) -> Figures? {
        guard failures[allocator.name] == nil, let samples = samples[allocator.name] else { return nil }
        return Figures(samples: samples)
    }
}

struct Session {
    let program: WorkloadProgram
    let allocators: [AllocatorUnderTest]
    let rounds: Int

    func run(workload: String, progress: String) -> WorkloadResult {
        var result = WorkloadResult(workload: workload)
        let showsProgress = isatty(STDERR_FILENO) != 0
        defer { if showsProgress { show("\r\u{1B}[K") } }
        for round in 0..<rounds {
            for position in allocators.indices {
                let allocator = allocators[(round + position) % allocators.count]
                guard result.failures[allocator.name] == nil else { continue }
                if showsProgress {
                    show("\r\u{1B}[K\(progress) \(workload), round \(round + 1) of \(rounds): \(allocator.name)")
                }
                do throws(BenchmarkError) {
                    let sample = try program.run(workload: workload, under: allocator)
                    result.samples[allocator.name, default: []].append(sample)
                } catch {
                    result.failures[allocator.name] = error.description
                }
            }
        }
        return result
    }

    private func show(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
