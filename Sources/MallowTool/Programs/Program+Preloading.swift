// Whether a library can be loaded before a program. The dynamic loader does it, so a program without one is out, and so
// is one that gains rights by being executed: there the loader ignores `LD_PRELOAD`, without a word.

extension Program {
    /// - Throws: `staticallyLinked`, `privileged`, `wrongArchitecture`.
    func checkPreloading(of library: MallocLibrary) throws(ToolFailure) {
        guard let image, let libraryImage = library.image else { return }
        if image.loader == nil {
            throw ToolFailure(
                .staticallyLinked,
                "\(described) is statically linked, so no malloc can be preloaded; link libmallow.a into it instead")
        }
        if let reason = reasonForSecureExecution() {
            throw ToolFailure(
                .privileged,
                "\(described) \(reason), so the loader ignores preloaded libraries; run a copy of it without that, or as "
                    + "the user that it changes to")
        }
        if !image.isCompatible(with: libraryImage) {
            throw ToolFailure(
                .wrongArchitecture,
                "\(described) is for \(image.architecture), but \(library.path) is for \(libraryImage.architecture); "
                    + "build the library for \(image.architecture)")
        }
    }

    /// The file, and the program that led to it if that is another one.
    private var described: String {
        imagePath == path ? path : "\(imagePath) (which runs \(path))"
    }

    /// Why the kernel would start the file with `AT_SECURE` set; nil if it would not.
    ///
    /// The kernel's rule: the effective user or group after `execve` differs from the *real* one, or the file has
    /// capabilities and the real user is not root. A set-user-ID file of the user's own is therefore harmless, and for
    /// root a set-user-ID root file is too. None of it happens on a file system mounted `nosuid` or under
    /// `no_new_privs`.
    private func reasonForSecureExecution() -> String? {
        var status = stat()
        guard stat(imagePath, &status) == 0 else { return nil }
        let changesUser = status.st_mode & S_ISUID != 0 && status.st_uid != getuid()
        // Without the group's execute bit the kernel ignores set-group-ID (it once meant mandatory locking).
        let setsGroup = status.st_mode & S_ISGID != 0 && status.st_mode & S_IXGRP != 0
        let changesGroup = setsGroup && status.st_gid != getgid()
        let gainsCapabilities = getuid() != 0 && hasFileCapabilities(imagePath)
        guard changesUser || changesGroup || gainsCapabilities, !privilegesAreIgnored() else { return nil }
        if changesUser { return "is set-user-ID" }
        return changesGroup ? "is set-group-ID" : "has file capabilities"
    }

    private func privilegesAreIgnored() -> Bool {
        var fileSystem = statvfs()
        // 2 is ST_NOSUID on Linux and on Darwin.
        if statvfs(imagePath, &fileSystem) == 0, UInt(fileSystem.f_flag) & 2 != 0 { return true }
        #if os(Linux)
            guard let status = readWholeFile("/proc/self/status") else { return false }
            return String(decoding: status, as: UTF8.self).contains("NoNewPrivs:\t1")
        #else
            return false
        #endif
    }
}

/// The contents of a small file; nil if it cannot be read.
func readWholeFile(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var contents: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
        let count = chunk.withUnsafeMutableBytes { readBytes(descriptor, into: $0) }
        if count < 0 { return nil }
        if count == 0 { return contents }
        contents += chunk[..<count]
    }
}
