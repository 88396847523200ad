// The program that the user names: found as a shell finds it, its `#!` lines followed to the file that the kernel maps
// in the end. Whether a library can be preloaded into that file is asked in `Program+Preloading.swift`.

/// A program that exists and may be executed.
struct Program {
    /// What the user typed.
    let name: String
    /// The file to execute: a path with a slash, so that nothing is searched for again.
    let path: String
    /// The file that is mapped in the end: `path`, or the interpreter of a script.
    let imagePath: String
    let image: ELFImage?

    /// - Throws: `notFound` or `notExecutable`, for the program or for the interpreter of a script.
    init(named name: String) throws(ToolFailure) {
        self.name = name
        path = try Self.find(name, wantedBy: nil)
        var current = path
        // The kernel follows five `#!` lines; `env` adds a hop to each.
        for _ in 0..<10 {
            let head = try FileHead(path: current, name: name)
            if let image = head.image {
                self.image = image
                imagePath = current
                return
            }
            guard let interpreter = head.interpreter else {
                #if os(Linux)
                    throw ToolFailure(
                        .notExecutable,
                        "\(current): neither a program of this system nor a script with a #! line; name what runs it, "
                            + "as in: sh \(current)")
                #else
                    image = nil
                    imagePath = current
                    return
                #endif
            }
            let found = try Self.find(interpreter.path, wantedBy: current)
            if let target = interpreter.environmentTarget, Self.lastComponent(found) == "env" {
                current = try Self.find(target, wantedBy: current)
            } else {
                current = found
            }
        }
        throw ToolFailure(.notExecutable, "\(path): its #! lines name each other without end")
    }

    /// Finds a file by `execvp`'s rules: a name with a slash is a path, any other is looked up in `PATH`, where a file
    /// that may not be executed is passed over.
    private static func find(_ name: String, wantedBy script: String?) throws(ToolFailure) -> String {
        let wanted = script.map { ", which the #! line of \($0) names" } ?? ""
        if name.utf8.contains(UInt8(ascii: "/")) {
            try checkExecutable(name, wanted)
            return name
        }
        var refusal: ToolFailure?
        let searchPath = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        for folder in searchPath.split(separator: ":", omittingEmptySubsequences: false) where !name.isEmpty {
            let candidate = (folder.isEmpty ? "." : folder) + "/" + name
            // A folder that one may not look into is as good as empty.
            guard access(candidate, F_OK) == 0 else { continue }
            do throws(ToolFailure) {
                try checkExecutable(candidate, wanted)
                return candidate
            } catch {
                if error.status == .notExecutable { refusal = refusal ?? error }
            }
        }
        throw refusal
            ?? ToolFailure(.notFound, "\(name): no such program in PATH\(wanted); give its path if it is elsewhere")
    }

    private static func checkExecutable(_ path: String, _ wanted: String) throws(ToolFailure) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let isMissing = errno == ENOENT || errno == ENOTDIR
            throw ToolFailure(
                isMissing ? .notFound : .notExecutable,
                "\(path): \(isMissing ? "no such program" : systemMessage())\(wanted); check the path")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            throw ToolFailure(
                .notExecutable,
                "\(path): \(isFolder ? "a folder" : "not a file"), not a program\(wanted); name a program in it")
        }
        guard access(path, X_OK) == 0 else {
            throw ToolFailure(
                .notExecutable,
                "\(path): not executable (\(systemMessage()))\(wanted); try chmod +x, or name what runs it")
        }
    }

    static func lastComponent(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }
}

/// The first bytes of a file, and what they make of it.
private struct FileHead {
    /// nil if it is no ELF file.
    let image: ELFImage?
    /// nil without a `#!` line.
    let interpreter: Interpreter?

    struct Interpreter {
        let path: String
        /// The program that `env` would start: the first word that is neither an option nor an assignment.
        let environmentTarget: String?
    }

    init(path: String, name: String) throws(ToolFailure) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ToolFailure(
                .notExecutable,
                "\(path): cannot be read (\(systemMessage())), so whether a library can be preloaded is not known")
        }
        defer { close(descriptor) }
        image = ELFImage(descriptor: descriptor)
        var line = [UInt8](repeating: 0, count: 256)
        let count = pread(descriptor, &line, line.count, 0)
        guard image == nil, count > 2, line[0] == UInt8(ascii: "#"), line[1] == UInt8(ascii: "!") else {
            interpreter = nil
            return
        }
        let text = String(decoding: line[2..<count].prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }, as: UTF8.self)
        let words = text.split { $0 == " " || $0 == "\t" || $0 == "\r" }
        interpreter = words.first.map { first in
            let target = words.dropFirst().first { !$0.hasPrefix("-") && !$0.contains("=") }
            return Interpreter(path: String(first), environmentTarget: target.map(String.init))
        }
    }
}
