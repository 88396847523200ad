// Which ranges to move where, so that what is free comes together. A hole is a free range, a run is what is allocated
// between two of them.
//
// Without a limit (`compacting`): runs go to the lowest hole until everything is at the start of the space. Sliding
// each run down would move all of them behind the first hole. But a run behind the end that the used part will have
// must move anyway, and where such runs fill a hole exactly, the runs behind it stay where they are. So each hole is
// filled from there, the largest run that fits first, and only what stays open is closed by sliding the next run down;
// the hole behind that run is larger then, and may be filled. No run is moved twice, and never more than by sliding
// alone.
//
// With a limit (`joining`): the largest free range is to become as large as it gets. A window is some holes and the
// runs between them; joining its holes costs the counts of its runs, wherever those go. Slid to the window's start they
// add the holes together; each that finds room outside of the window adds its own count as well. For each end of a
// window the longest one within the limit is found with two pointers. The eight with the most free in them are planned
// in full, and the eight longest; the best of these is taken.
//
// Measured on a space that about 10,000 ranges had filled, when one in ten, five in ten or nine in ten had been freed
// at random. What was moved, as a part of all that was used, for one free range at the end:
//
//     sizes                   freed   10 %    50 %    90 %
//     1 to 16 pages                   97 %    58 %    88 %    sliding alone moves 100 %; exact fits are
//     16 to 8,015                    100 %    98 %    99 %    frequent where sizes have a common divisor
//
// The largest free range, as a part of all that is free, with sizes from 16 to 8,015, by sliding a window -> in this
// way:
//
//     limit, of what is used    1 %           5 %           20 %          50 %
//     10 % freed            2.3 -> 5.5    7.1 -> 11.8    22.2 -> 32.8  52.0 -> 63.2
//     50 % freed            1.6 -> 2.6    6.0 -> 11.0    21.1 -> 41.4  51.1 -> 98.3
//     90 % freed            2.4 -> 2.5    7.2 -> 7.8     23.7 -> 26.0  51.7 -> 57.5
//
// One window in place of eight and eight is as good but where little is free: 3.9 in place of 5.5 in the first field.

struct CompactionPlan: ~Copyable {
    /// Not empty, in order, none touches the next.
    let holes: [Range<Int>]
    /// What lies behind each hole, up to the next one or to the end of the space: so there may be one hole more.
    let runs: [Run]

    /// What moves together, by a multiple of its alignment.
    struct Run {
        let range: Range<Int>
        let alignment: Int

        /// The lowest place from an offset on that it can move to.
        func place(from offset: Int) -> Int {
            offset + ((range.lowerBound - offset) & (alignment - 1))
        }
    }

    private let size: Int

    init(holes: [Range<Int>], size: Int, alignment: (Range<Int>) -> Int) {
        var runs: [Run] = []
        for (hole, end) in zip(holes, holes.dropFirst().map(\.lowerBound) + [size]) where hole.upperBound < end {
            let range = hole.upperBound..<end
            runs.append(Run(range: range, alignment: alignment(range)))
        }
        self.holes = holes
        self.runs = runs
        self.size = size
    }

    // MARK: Without a limit

    func compacting() -> [RangeMove] {
        guard let first = holes.first else { return [] }
        let used = size - holes.reduce(0) { $0 + $1.count }
        var movers = RunsBySize(runs.map(\.range), from: used)
        var moves: [RangeMove] = []
        var end = first.lowerBound  // All in front of it is settled.
        for (index, run) in runs.enumerated() where !movers.isTaken(index) {
            let range = run.range
            while end < range.lowerBound, let mover = movers.largest(atMost: range.lowerBound - end) {
                let moved = runs[mover].range
                let to = runs[mover].place(from: end)
                if to + moved.count > range.lowerBound { break }
                movers.take(mover)
                moves.append(RangeMove(from: moved, to: to))
                end = to + moved.count
                if mover == index { break }
            }
            if movers.isTaken(index) { continue }
            movers.take(index)
            let to = run.place(from: end)
            if to < range.lowerBound { moves.append(RangeMove(from: range, to: to)) }
            end = to + range.count
        }
        return moves
    }

    // MARK: With a limit

    func joining(limit: Int) -> [RangeMove] {
        var best: (largest: Int, moves: [RangeMove]) = (holes.reduce(0) { max($0, $1.count) }, [])
        for window in windows(limit: limit) {
            let (largest, moves) = joining(window)
            if largest > best.largest { best = (largest, moves) }
        }
        return best.moves
    }

    private func windows(limit: Int) -> [ClosedRange<Int>] {
        var windows: [(holes: ClosedRange<Int>, free: Int, length: Int)] = []
        var first = 0
        var free = 0
        for last in holes.indices {
            free += holes[last].count
            while holes[last].upperBound - holes[first].lowerBound - free > limit {
                free -= holes[first].count
                first += 1
            }
            // A window whose successor has the same start is a part of it.
            if let previous = windows.last, previous.holes.lowerBound == first { windows.removeLast() }
            windows.append((first...last, free, holes[last].upperBound - holes[first].lowerBound))
        }
        let most = windows.sorted { $0.free > $1.free }.prefix(8)
        let longest = windows.sorted { $0.length > $1.length }.prefix(8)
        return most.map(\.holes) + longest.map(\.holes)
    }

    /// The moves that make one free range of a window's holes, and how large that is.
    private func joining(_ window: ClosedRange<Int>) -> (largest: Int, moves: [RangeMove]) {
        let runs = runs[window.lowerBound..<window.upperBound]
        var outside = SegregatedFit()
        for (index, hole) in holes.enumerated() where !window.contains(index) {
            _ = outside.insert(hole.lowerBound, hole.upperBound)
        }
        // The largest runs first: they find room more rarely, and add more.
        var places = [Int?](repeating: nil, count: runs.count)
        for index in runs.indices.sorted(by: { runs[$0].range.count > runs[$1].range.count }) {
            places[index - window.lowerBound] = allocate(runs[index], in: &outside)
        }
        var moves: [RangeMove] = []
        var end = holes[window.lowerBound].lowerBound
        for (run, outside) in zip(runs, places) {
            let to = outside ?? run.place(from: end)
            if to != run.range.lowerBound { moves.append(RangeMove(from: run.range, to: to)) }
            if outside == nil { end = to + run.range.count }
        }
        return (holes[window.upperBound].upperBound - end, moves)
    }

    /// Allocates a place for a run, at a multiple of its alignment from where it is.
    private func allocate(_ run: Run, in holes: inout SegregatedFit) -> Int? {
        // Its place starts with as much of an aligned range as where it is.
        let offset = run.range.lowerBound & (run.alignment - 1)
        guard offset + run.range.count <= size,
            let lower = holes.allocate(count: offset + run.range.count, alignment: run.alignment)
        else { return nil }
        if offset > 0 { _ = holes.insert(lower, lower + offset) }
        return lower + offset
    }
}

/// The runs that must move, by size.
private struct RunsBySize {
    /// The numbers of these runs by their counts, rising.
    private let order: [Int]
    private let counts: [Int]
    /// Where each run is in `order`, or -1.
    private var rank: [Int]
    /// For each place in `order`, the next one in front, or the same, whose run is not taken; -1 for none. Paths are
    /// halved when they are walked.
    private var left: [Int]
    private var taken: [Bool]

    init(_ runs: [Range<Int>], from end: Int) {
        order = runs.indices.filter { runs[$0].lowerBound >= end }.sorted { runs[$0].count < runs[$1].count }
        counts = order.map { runs[$0].count }
        rank = [Int](repeating: -1, count: runs.count)
        for (place, index) in order.enumerated() { rank[index] = place }
        left = Array(order.indices)
        taken = [Bool](repeating: false, count: runs.count)
    }

    func isTaken(_ index: Int) -> Bool { taken[index] }

    mutating func take(_ index: Int) {
        taken[index] = true
        if rank[index] >= 0 { left[rank[index]] = rank[index] - 1 }
    }

    /// The largest run that is not taken of at most that count.
    mutating func largest(atMost count: Int) -> Int? {
        var (low, high) = (0, counts.count)
        while low < high {
            let middle = (low + high) / 2
            if counts[middle] <= count { low = middle + 1 } else { high = middle }
        }
        var place = low - 1
        while place >= 0, left[place] != place {
            let next = left[place]
            if next >= 0 { left[place] = left[next] }
            place = next
        }
        return place < 0 ? nil : order[place]
    }
}
