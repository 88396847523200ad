// What the library writes when a process exits: a line, which is one JSON object.

/// The heap of one process. Every field may be missing, so that the tool reads what an older or newer library writes.
struct HeapStatistics: Codable {
    var mallow: String?
    var process: Int?
    var requestedBytes: Int?
    var grantedBytes: Int?
    var allocations: Int?
    var frees: Int?
    var remoteFrees: Int?
    var liveBlocks: Int?
    var liveBytes: Int?
    var peakLiveBytes: Int?
    var mappedBytes: Int?
    var committedBytes: Int?
    var peakCommittedBytes: Int?
    var retainedBytes: Int?
    var purgedBytes: Int?
    var threads: Int?
    var peakThreads: Int?
    var heaps: Int?
    var largeAllocations: Int?
    var largeBlocks: Int?
    var largeBytes: Int?
    var sizeClasses: [SizeClass]?

    struct SizeClass: Codable {
        var size: Int?
        var allocations: Int?
        var liveBlocks: Int?
        var pages: Int?
    }

    /// From the last line of a file: a process that writes more than once knows most at its end.
    ///
    /// - Returns: nil if the file is not there or its last line is no such object.
    init?(file path: String) {
        guard let contents = readWholeFile(path),
            let line = contents.split(separator: UInt8(ascii: "\n")).last(where: { !$0.allSatisfy(isBlank) }),
            let decoded = try? JSONDecoder().decode(Self.self, from: Data(line))
        else { return nil }
        self = decoded
    }

    /// The size classes that were asked for most often, the busiest first.
    func busiestSizes(_ count: Int) -> [(size: Int, allocations: Int)] {
        let counted = (sizeClasses ?? []).compactMap { entry -> (size: Int, allocations: Int)? in
            guard let size = entry.size, let allocations = entry.allocations, allocations > 0 else { return nil }
            return (size, allocations)
        }
        return Array(counted.sorted { $0.allocations > $1.allocations }.prefix(count))
    }
}

private func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
}

/// All that the processes of one run wrote.
struct CollectedStatistics {
    /// The process that the tool started; nil if it wrote nothing, or nothing legible.
    var main: HeapStatistics?
    /// How many processes wrote something legible, the main one included.
    var processCount: Int
    /// Their allocations together.
    var allocations: Int
}
