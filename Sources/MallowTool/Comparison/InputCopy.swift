// The standard input that every round gets: the tool's own, read once.

/// A descriptor from which the tool's standard input can be read again and again, from its start.
///
/// A terminal cannot be read twice, and nobody wants to type it all again: there the program finds its input empty. The
/// copy is a file without a name, so that nothing is left behind however the tool ends.
///
/// - Throws: `systemError`.
func copyStandardInput(_ progress: ProgressLine) throws(ToolFailure) -> Int32 {
    var status = stat()
    if isatty(STDIN_FILENO) == 1 || fstat(STDIN_FILENO, &status) != 0 {
        return try atLeastThree(open("/dev/null", O_RDONLY))
    }
    let folder = environmentValue("TMPDIR") ?? "/tmp"
    var template = Array("\(folder)/mallow-input-XXXXXX".utf8CString)
    let writing = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
    guard writing >= 0 else { throw failure(folder) }
    defer { close(writing) }
    closeOnExec(writing)
    // For the program: it could not write to its input before either.
    let reading = open(template, O_RDONLY)
    unlink(template)
    let descriptor = try atLeastThree(reading)

    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
    defer { buffer.deallocate() }
    var total = 0
    while true {
        progress.show("mallow: reading standard input, \(Format.bytes(total))")
        let count = readBytes(STDIN_FILENO, into: buffer)
        if count == 0 { break }
        guard count > 0, writeBytes(writing, UnsafeRawBufferPointer(rebasing: buffer[..<count])) else {
            throw failure(folder)
        }
        total += count
    }
    progress.clear()
    return descriptor
}

private func atLeastThree(_ descriptor: Int32) throws(ToolFailure) -> Int32 {
    let moved = descriptor < 0 ? -1 : fcntl(descriptor, F_DUPFD, 3)
    guard moved >= 0 else { throw failure("/dev/null") }
    close(descriptor)
    closeOnExec(moved)
    return moved
}

private func failure(_ place: String) -> ToolFailure {
    ToolFailure(
        .systemError,
        "standard input cannot be copied to \(place) (\(systemMessage())); let TMPDIR name another folder, or give the "
            + "program < /dev/null")
}
