// A malloc library that is preloaded into programs: Mallow's own, found beside the tool, or one that the user names.

/// A shared library that exists, can be read, and can be named in `LD_PRELOAD`.
struct MallocLibrary {
    /// Absolute.
    let path: String
    /// nil where libraries are not ELF files (Darwin).
    let image: ELFImage?

    #if os(Linux)
        static let fileName = "libmallow.so"
        static let preloadVariable = "LD_PRELOAD"
    #else
        static let fileName = "libmallow.dylib"
        static let preloadVariable = "DYLD_INSERT_LIBRARIES"
    #endif

    /// - Parameter remedy: what the user can do, for the message.
    /// - Throws: `libraryUnusable`.
    init(path given: String, remedy: String) throws(ToolFailure) {
        guard let resolved = realpath(given, nil) else {
            throw ToolFailure(.libraryUnusable, "\(given): no malloc library there (\(systemMessage())); \(remedy)")
        }
        free(resolved)
        // Not the resolved name: the user's own is the one to find again in reports.
        path = given.hasPrefix("/") ? given : Self.currentFolder() + "/" + given
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ToolFailure(.libraryUnusable, "\(path): cannot be read (\(systemMessage())); \(remedy)")
        }
        defer { close(descriptor) }
        #if os(Linux)
            image = ELFImage(descriptor: descriptor)
            guard let image, image.isShared else {
                throw ToolFailure(.libraryUnusable, "\(path): not a shared library; \(remedy)")
            }
            if image.defines("malloc", descriptor: descriptor) == false {
                throw ToolFailure(
                    .libraryUnusable, "\(path): defines no malloc, so preloading it would change nothing; \(remedy)")
            }
            // ld.so(8): entries are separated by spaces or colons, and `$` starts a token. There is no way to quote.
            if let bad = path.first(where: { $0 == " " || $0 == ":" || $0 == "$" }) {
                throw ToolFailure(
                    .libraryUnusable,
                    "\(path): the loader cannot preload a path with '\(bad)' in it; link to it from another folder, and "
                        + "\(remedy)")
            }
        #else
            image = nil
        #endif
    }

    /// Mallow's library: where `MALLOW_LIBRARY` says, else `../lib` beside the tool, else the tool's own folder.
    static func mallow() throws(ToolFailure) -> MallocLibrary {
        if let path = environmentValue("MALLOW_LIBRARY") {
            return try MallocLibrary(path: path, remedy: "let MALLOW_LIBRARY name the library, or unset it")
        }
        let folder = toolFolder()
        let candidates = ["\(parent(of: folder))/lib/\(fileName)", "\(folder)/\(fileName)"]
        let remedy = "build it by `make lib`, or let MALLOW_LIBRARY name it"
        guard let path = candidates.first(where: { access($0, F_OK) == 0 }) else {
            throw ToolFailure(
                .libraryUnusable, "no malloc library at \(candidates.joined(separator: " or ")); \(remedy)")
        }
        return try MallocLibrary(path: path, remedy: remedy)
    }

    /// Whether an entry of `LD_PRELOAD` means this library: the same file, or the same name where no path is given.
    func isNamed(by entry: String) -> Bool {
        if entry == path || !entry.utf8.contains(UInt8(ascii: "/")) && entry == Program.lastComponent(path) {
            return true
        }
        var mine = stat()
        var other = stat()
        guard stat(path, &mine) == 0, stat(entry, &other) == 0 else { return false }
        return mine.st_dev == other.st_dev && mine.st_ino == other.st_ino
    }

    /// The folder of the tool's executable, all links resolved.
    private static func toolFolder() -> String {
        #if os(Linux)
            let own = "/proc/self/exe"
        #else
            let own = CommandLine.arguments[0]
        #endif
        guard let resolved = realpath(own, nil) else { return "." }
        defer { free(resolved) }
        return parent(of: String(cString: resolved))
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func currentFolder() -> String {
        guard let folder = getcwd(nil, 0) else { return "." }
        defer { free(folder) }
        return String(cString: folder)
    }

    /// Whether a file is a shared library that defines `malloc`.
    static func isMalloc(_ path: String) -> Bool {
        #if os(Linux)
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            return ELFImage(descriptor: descriptor)?.defines("malloc", descriptor: descriptor) ?? false
        #else
            return false
        #endif
    }
}
