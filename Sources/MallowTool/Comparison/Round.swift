// One run of the program under one malloc, measured, its output hashed as it comes.
//
// The tool reads while the program writes, as any reader of a pipe would. It blocks in `poll` otherwise, so that it
// takes no processor from the program.

/// What one run gave.
struct Round {
    var termination: Termination
    var usage: ResourceUsage
    var output: OutputHash
    /// The last bytes of standard error, for when the program fails.
    var errorTail: [UInt8]
    /// Whether something that the program started still held its output when it had ended.
    var leftOutputOpen: Bool

    /// How much of standard error is kept.
    static let errorTailLimit = 2048

    /// Runs the program once.
    ///
    /// - Parameters:
    ///   - input: what the program reads; rewound first.
    ///   - whileWaiting: called ten times a second or so while nothing happens.
    static func run(
        _ program: Program, arguments: CStringArray, environment: CStringArray, input: Int32, whileWaiting: () -> Void
    ) throws(ToolFailure) -> Round {
        lseek(input, 0, SEEK_SET)
        let output = try makePipe()
        defer { close(output.reading) }
        let error = try makePipe()
        defer { close(error.reading) }
        let started = Result { () throws(ToolFailure) in
            try ChildProcess.start(
                path: program.path, arguments: arguments, environment: environment,
                redirection: .init(input: input, output: output.writing, error: error.writing))
        }
        // Else the pipes would never end.
        close(output.writing)
        close(error.writing)
        let child = try started.get()
        var reader = OutputReader(output: output.reading, error: error.reading)
        let (termination, usage) = reader.readUntilEnd(of: child, whileWaiting: whileWaiting)
        return Round(
            termination: termination, usage: usage, output: reader.hash, errorTail: reader.errorTail,
            leftOutputOpen: reader.leftOpen)
    }
}

/// Reads both pipes of a program until they close, or until shortly after the program has ended: a process that it left
/// behind may hold them for ever.
private struct OutputReader {
    let output: Int32
    let error: Int32
    var hash = OutputHash()
    var errorTail: [UInt8] = []
    var leftOpen = false

    private let patience = 0.5
    private let chunk = 65536

    init(output: Int32, error: Int32) {
        self.output = output
        self.error = error
    }

    mutating func readUntilEnd(of child: ChildProcess, whileWaiting: () -> Void) -> (Termination, ResourceUsage) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 16)
        defer { buffer.deallocate() }
        var polled = [
            pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: error, events: Int16(POLLIN), revents: 0),
        ]
        var ended: (Termination, ResourceUsage)?
        var deadline = Double.infinity
        // `poll` passes over negative descriptors.
        while polled.contains(where: { $0.fd >= 0 }) {
            // The end of the program interrupts this by SIGCHLD; the limit is for an end just before.
            let ready = poll(&polled, nfds_t(polled.count), 100)
            if ready == 0 { whileWaiting() }
            if ready > 0 {
                for index in polled.indices where polled[index].revents != 0 {
                    if !take(from: polled[index].fd, buffer) { polled[index].fd = -1 }
                    polled[index].revents = 0
                }
            }
            if ended == nil {
                ended = child.check()
                if ended != nil { deadline = monotonicSeconds() + patience }
            } else if monotonicSeconds() > deadline {
                leftOpen = true
                break
            }
        }
        return ended ?? child.wait()
    }

    /// Reads once; false at the end.
    private mutating func take(from descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        let count = readBytes(descriptor, into: buffer)
        guard count > 0 else { return false }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if descriptor == output {
            hash.add(bytes)
        } else {
            errorTail += bytes
            errorTail.removeFirst(max(0, errorTail.count - Round.errorTailLimit))
        }
        return true
    }
}
