// The environment and the arguments of a program, byte for byte those of the tool, but for the few variables it sets.
// They stay C strings throughout: a Swift `String` would repair what is not UTF-8.

/// A NULL-terminated array of C strings, for `execve`.
struct CStringArray {
    /// Never freed: a tool has a handful, and the strings of the tool itself are not ours to free.
    private(set) var pointers: [UnsafeMutablePointer<CChar>?]

    /// The command as the user typed it: the last `count` arguments of the tool.
    static func lastArguments(_ count: Int) -> CStringArray {
        let all = UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc))
        return CStringArray(pointers: Array(all.suffix(count)) + [nil])
    }

    /// The tool's own environment.
    static func environment() -> CStringArray {
        var pointers: [UnsafeMutablePointer<CChar>?] = []
        var next = environ
        while let entry = next.pointee {
            pointers.append(entry)
            next += 1
        }
        return CStringArray(pointers: pointers + [nil])
    }

    /// Sets a variable, or removes it where the value is nil.
    mutating func set(_ name: String, to value: String?) {
        let prefix = name + "="
        pointers.removeAll { entry in entry.map { strncmp($0, prefix, prefix.utf8.count) == 0 } ?? true }
        if let value { pointers.append(strdup(prefix + value)) }
        pointers.append(nil)
    }
}

extension CStringArray {
    /// Puts a library in front of those that are preloaded already, once; nil removes it. Another malloc among those
    /// goes: it would go on serving what the one in front does not define (C++'s `new`), and the figures would be of
    /// both.
    ///
    /// - Parameters:
    ///   - library: the library to preload, if any.
    ///   - removed: libraries that must not be preloaded: those that are compared with this one.
    mutating func preload(_ library: MallocLibrary?, insteadOf removed: [MallocLibrary]) {
        let before = environmentValue(MallocLibrary.preloadVariable) ?? ""
        let kept = before.split { $0 == ":" || $0 == " " }.map(String.init).filter { entry in
            !removed.contains { $0.isNamed(by: entry) } && !(library?.isNamed(by: entry) ?? false)
                && !MallocLibrary.isMalloc(entry)
        }
        let entries = (library.map { [$0.path] } ?? []) + kept
        set(MallocLibrary.preloadVariable, to: entries.isEmpty ? nil : entries.joined(separator: ":"))
    }
}
