// Shortens a sequence that fails: whole chunks first, halves and then smaller ones (delta debugging; Zeller and
// Hildebrandt, 2002), until no single operation can be left out; then sizes and alignments are made simpler. Each
// attempt runs on a new allocator. Bounded in attempts and in time.

struct Shrinker {
    /// Runs a sequence: what was found, and how many of its operations were run until then.
    let fails: ([AllocatorOperation]) -> (finding: Finding, length: Int)?
    let finding: Finding
    private var best: [AllocatorOperation]
    private var attempts = 4000
    private let deadline: ContinuousClock.Instant

    init(
        _ operations: [AllocatorOperation], _ finding: Finding, time: Duration,
        fails: @escaping ([AllocatorOperation]) -> (finding: Finding, length: Int)?
    ) {
        self.fails = fails
        self.finding = finding
        best = operations
        deadline = .now + time
    }

    mutating func shrink() -> [AllocatorOperation] {
        repeat {
            let before = best
            removeChunks()
            simplify()
            if best == before { break }
        } while attempts > 0
        return Self.renumbered(best)
    }

    /// Takes the sequence if it fails in the same way.
    private mutating func attempt(_ candidate: [AllocatorOperation]) -> Bool {
        guard attempts > 0, ContinuousClock.now < deadline else {
            attempts = 0
            return false
        }
        attempts -= 1
        guard let failure = fails(candidate), failure.finding.isLike(finding) else { return false }
        best = Array(candidate.prefix(failure.length))
        return true
    }

    private mutating func removeChunks() {
        var length = max(best.count / 2, 1)
        while attempts > 0 {
            var removed = false
            var end = best.count
            // From the end: what comes later depends on what comes earlier.
            while end > 0, attempts > 0 {
                let start = max(end - length, 0)
                if attempt(Array(best[..<start] + best[end...])) { removed = true }
                end = min(start, best.count)
            }
            if length == 1 {
                if !removed { return }
            } else {
                length = max(length / 2, 1)
            }
        }
    }

    private mutating func simplify() {
        for index in best.indices {
            var wasSimplified = true
            while wasSimplified, index < best.count, attempts > 0 {
                wasSimplified = false
                for simpler in Self.simpler(best[index]) {
                    var candidate = best
                    candidate[index] = simpler
                    if attempt(candidate) {
                        wasSimplified = true
                        break
                    }
                }
            }
        }
    }

    /// The operation with simpler numbers, the simplest first.
    private static func simpler(_ operation: AllocatorOperation) -> [AllocatorOperation] {
        func smaller(_ value: Int) -> [Int] {
            [0, 1, 8, value / 2, value - 1].filter { $0 >= 0 && $0 < value }
        }
        switch operation {
        case .allocate(let id, let byteCount, let alignment):
            return [1, alignment / 2].filter { $0 > 0 && $0 < alignment }.map {
                .allocate(id: id, byteCount: byteCount, alignment: $0)
            } + smaller(byteCount).map { .allocate(id: id, byteCount: $0, alignment: alignment) }
        case .tryAllocate(let id, let byteCount, let alignment):
            return [.allocate(id: id, byteCount: byteCount, alignment: alignment)]
                + simpler(.allocate(id: id, byteCount: byteCount, alignment: alignment))
        case .resize(let id, let byteCount):
            return smaller(byteCount).map { .resize(id: id, byteCount: $0) }
        case .refused(let byteCount, let alignment):
            return smaller(byteCount).map { .refused(byteCount: $0, alignment: alignment) }
        case .deallocate, .freeAll, .close: return []
        }
    }

    /// With the blocks numbered in the order of their allocation.
    private static func renumbered(_ operations: [AllocatorOperation]) -> [AllocatorOperation] {
        var numbers: [Int: Int] = [:]
        func number(_ id: Int) -> Int {
            let known = numbers[id] ?? numbers.count
            numbers[id] = known
            return known
        }
        return operations.map { operation in
            switch operation {
            case .allocate(let id, let byteCount, let alignment):
                .allocate(id: number(id), byteCount: byteCount, alignment: alignment)
            case .tryAllocate(let id, let byteCount, let alignment):
                .tryAllocate(id: number(id), byteCount: byteCount, alignment: alignment)
            case .deallocate(let id): .deallocate(id: number(id))
            case .resize(let id, let byteCount): .resize(id: number(id), byteCount: byteCount)
            case .refused, .freeAll, .close: operation
            }
        }
    }
}
