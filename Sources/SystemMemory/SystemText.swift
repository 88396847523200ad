// Reading files of the system's without allocating: what is mapped where in this process, and the symbols of what runs.
// For reports that are written when the program is past help: by a signal handler, on whatever thread. Each call is one
// that signal handlers may make.

import CMallowShims

/// Files, read by a caller who has memory of its own for them.
public enum SystemText {
    /// Reads a file from its start, a part at a time, into `buffer`; `body` gets the count of each part. False if it
    /// cannot be opened.
    public static func read(
        _ path: UnsafePointer<CChar>, into buffer: UnsafeMutableRawBufferPointer, _ body: (Int) -> Void
    ) -> Bool {
        let descriptor = mallow_open_file(path, O_RDONLY)
        guard descriptor >= 0 else { return false }
        while true {
            let count = CMallowShims.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0, mallow_errno() == EINTR { continue }
            if count <= 0 { break }
            body(count)
        }
        _ = CMallowShims.close(descriptor)
        return true
    }

    /// Maps a whole file, to be read: its address and length; (0, 0) if it cannot be. Undone by `SystemMemory.unmap`.
    public static func map(_ path: UnsafePointer<CChar>) -> (address: UInt, byteCount: UInt) {
        let descriptor = mallow_open_file(path, O_RDONLY)
        guard descriptor >= 0 else { return (0, 0) }
        defer { _ = CMallowShims.close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, mallow_is_regular_file(&status) != 0, status.st_size > 0 else {
            return (0, 0)
        }
        let mapped = mmap(nil, Int(status.st_size), PROT_READ, CInt(MAP_PRIVATE), descriptor, 0)
        if mapped == mallow_map_failed() { return (0, 0) }
        return (UInt(bitPattern: mapped), UInt(bitPattern: Int(status.st_size)))
    }
}
