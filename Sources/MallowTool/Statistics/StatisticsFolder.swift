// The temporary folder where every process of a run leaves its statistics, a file each, named by its process number.

/// Exists from `init` until `remove()`. A process that outlives the tool finds the folder gone and writes nothing.
struct StatisticsFolder {
    let path: String

    /// nil if no folder can be made: a run goes on without statistics then.
    init?() {
        let parent = environmentValue("TMPDIR") ?? "/tmp"
        var template = Array("\(parent)/mallow-XXXXXX".utf8CString)
        guard let made = template.withUnsafeMutableBufferPointer({ mkdtemp($0.baseAddress!) != nil }) ? template : nil
        else {
            return nil
        }
        path = String(decoding: made.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What `MALLOW_STATS` is set to: the library puts the process's number for `%p`, and `%` for `%%`.
    var setting: String {
        path.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%") + "/%p.json"
    }

    func collect(main: pid_t) -> CollectedStatistics {
        var result = CollectedStatistics(main: nil, processCount: 0, allocations: 0)
        for name in fileNames() where name.hasSuffix(".json") {
            guard let statistics = HeapStatistics(file: path + "/" + name) else { continue }
            result.processCount += 1
            result.allocations += statistics.allocations ?? 0
            if name == "\(main).json" { result.main = statistics }
        }
        return result
    }

    func remove() {
        for name in fileNames() { unlink(path + "/" + name) }
        rmdir(path)
    }

    private func fileNames() -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
