// Whether a program does the same under every malloc: its output and how it ends.
//
// The system malloc's own runs are the measure, its warm-up included. If they differ among themselves the program is
// not deterministic (it prints the time, or addresses, or it finds what its first run left behind), and a difference
// under another malloc says nothing. A program that a signal kills under another malloc, and never under the system's,
// is a difference all the same.

/// One question: the output, or the end.
enum Agreement: Equatable {
    case same
    /// The system malloc's own runs differ.
    case notDeterministic
    /// The mallocs under which it differs, and in how many of their runs.
    case differs([Difference])

    struct Difference: Equatable {
        let name: String
        let count: Int
        let total: Int
    }

    var differs: Bool {
        if case .differs = self { true } else { false }
    }

    /// For the record.
    var word: String {
        switch self {
        case .same: "same"
        case .notDeterministic: "notDeterministic"
        case .differs: "different"
        }
    }

    /// Of what the program wrote to its standard output.
    static func ofOutput(_ results: [ComparedAllocator]) -> Agreement {
        judge(results) { $0.output }
    }

    /// Of exit statuses and signals.
    static func ofTermination(_ results: [ComparedAllocator]) -> Agreement {
        let plain = judge(results) { $0.termination }
        guard plain == .notDeterministic, !results[0].allRuns.contains(where: isKilled) else { return plain }
        let killed = differences(results, isKilled)
        return killed.isEmpty ? plain : .differs(killed)
    }

    /// - Precondition: the first of the results is the system's.
    private static func judge(_ results: [ComparedAllocator], _ property: (Round) -> some Equatable) -> Agreement {
        let expected = property(results[0].warmUp)
        if results[0].allRuns.contains(where: { property($0) != expected }) { return .notDeterministic }
        let found = differences(results) { property($0) != expected }
        return found.isEmpty ? .same : .differs(found)
    }

    private static func differences(_ results: [ComparedAllocator], _ isOther: (Round) -> Bool) -> [Difference] {
        results.dropFirst().compactMap { result in
            let count = result.allRuns.count(where: isOther)
            return count == 0 ? nil : Difference(name: result.name, count: count, total: result.allRuns.count)
        }
    }

    private static func isKilled(_ round: Round) -> Bool {
        if case .killed = round.termination { true } else { false }
    }
}
