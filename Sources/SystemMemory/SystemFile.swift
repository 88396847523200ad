// Every call to the operating system for a file that memory is mapped from, and for a descriptor that segments are read
// from or written to, and nothing else: one call each, or one repeated until it has done all that was asked. A test can
// make each of them fail (FaultInjection.swift). The C library does neither and is built without this.
//
// Cost: what the call costs. Thread-safety: that of the calls.

#if !hasFeature(Embedded)
    public import CMallowShims

    /// A call of the operating system that failed.
    public struct FailedCall: Error, Equatable, Sendable {
        /// The name of the call in C.
        public var name: String
        /// Its errno.
        public var code: Int32

        public init(name: String, code: Int32) {
            self.name = name
            self.code = code
        }

        /// Whether it is what stood in its way that there was such a file.
        public var isAlreadyExists: Bool { code == EEXIST }
    }

    /// An open file.
    public struct SystemFile: Sendable {
        public let descriptor: Int32

        /// Opens a file to be read and written.
        ///
        /// - Parameter creating: makes the file, which must not be there yet; else it must be there.
        public static func open(_ path: String, creating: Bool) throws(FailedCall) -> SystemFile {
            try check(.openFile, "open")
            // C would read the name as far as its first zero, and open another file.
            guard !path.utf8.contains(0) else { throw FailedCall(name: "open", code: EINVAL) }
            while true {
                let descriptor = mallow_open_file(path, O_RDWR | (creating ? O_CREAT | O_EXCL : 0))
                if descriptor >= 0 { return SystemFile(descriptor: descriptor) }
                if mallow_errno() != EINTR { throw failed("open") }
            }
        }

        /// Removes a file's name. Whether it was there.
        @discardableResult
        public static func remove(_ path: String) -> Bool { unlink(path) == 0 }

        /// Makes the names in the folder of a file durable.
        public static func synchronizeFolder(of path: String) throws(FailedCall) {
            try check(.synchronizeFolder, "fsync")
            let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "."
            let descriptor = mallow_open_file(String(folder), O_RDONLY)
            guard descriptor >= 0 else { throw failed("open") }
            defer { _ = CMallowShims.close(descriptor) }
            // Some file systems have nothing to do here, and say so by EINVAL.
            guard fsync(descriptor) == 0 || mallow_errno() == EINVAL else { throw failed("fsync") }
        }

        /// Its length in bytes; nil where it is no regular file.
        public func byteCount() throws(FailedCall) -> UInt64? {
            try check(.fileStatus, "fstat")
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw failed("fstat") }
            return mallow_is_regular_file(&status) != 0 ? UInt64(max(status.st_size, 0)) : nil
        }

        /// Locks the file for this opening of it, until it is closed. False where another has it. Never waits.
        public func lock() throws(FailedCall) -> Bool {
            try check(.lockFile, "flock")
            while mallow_lock_file(descriptor) != 0 {
                if mallow_errno() == EWOULDBLOCK { return false }
                if mallow_errno() != EINTR { throw failed("flock") }
            }
            return true
        }

        /// Fills the buffer from the file. Returns how many bytes there were.
        public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FailedCall) -> Int {
            try check(.readFile, "pread")
            var done = 0
            while done < buffer.count {
                let count = pread(
                    descriptor, buffer.baseAddress! + done, buffer.count - done,
                    off_t(truncatingIfNeeded: offset &+ UInt64(done)))
                if count == 0 { break }
                if count > 0 {
                    done += count
                } else if mallow_errno() != EINTR {
                    throw failed("pread")
                }
            }
            return done
        }

        /// Writes the buffer to the file.
        public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(FailedCall) {
            try check(.writeFile, "pwrite")
            try checkLimit("pwrite", offset &+ UInt64(buffer.count))
            var done = 0
            while done < buffer.count {
                let count = pwrite(
                    descriptor, buffer.baseAddress! + done, buffer.count - done,
                    off_t(truncatingIfNeeded: offset &+ UInt64(done)))
                if count >= 0 {
                    done += count
                } else if mallow_errno() != EINTR {
                    throw failed("pwrite")
                }
            }
        }

        /// Cuts the file to a length.
        public func truncate(to byteCount: UInt64) throws(FailedCall) {
            try check(.truncateFile, "ftruncate")
            while ftruncate(descriptor, off_t(truncatingIfNeeded: byteCount)) != 0 {
                if mallow_errno() != EINTR { throw failed("ftruncate") }
            }
        }

        /// Sees to it that the file has disk space for a range, and reaches to its end: a full disk is an error here,
        /// and not a signal at the first touch. What the range holds stays; what is new reads as zero.
        public func allocate(offset: UInt64, byteCount: UInt64) throws(FailedCall) {
            try check(.allocateFile, "posix_fallocate", code: ENOSPC)
            try checkLimit("posix_fallocate", offset &+ byteCount)
            #if os(Linux)
                var code: Int32
                repeat {
                    code = posix_fallocate(
                        descriptor, off_t(truncatingIfNeeded: offset), off_t(truncatingIfNeeded: byteCount))
                } while code == EINTR
                guard code == 0 else { throw FailedCall(name: "posix_fallocate", code: code) }
            #else
                // Writing is what makes sure there. The lock is ours, so that nobody makes the file longer meanwhile.
                let old = try self.byteCount() ?? 0
                guard old < offset &+ byteCount else { return }
                let zeros = [UInt8](repeating: 0, count: 1 << 16)
                var position = max(old, offset)
                while position < offset &+ byteCount {
                    let count = min(UInt64(zeros.count), offset &+ byteCount &- position)
                    let part = position
                    try zeros.withUnsafeBytes { (bytes) throws(FailedCall) in
                        try write(UnsafeRawBufferPointer(rebasing: bytes[..<Int(count)]), at: part)
                    }
                    position &+= count
                }
            #endif
        }

        /// Gives the disk space of a range inside the file back: it reads as zero.
        public func punchHole(offset: UInt64, byteCount: UInt64) throws(FailedCall) {
            try check(.punchHole, "fallocate")
            #if os(Linux)
                while mallow_punch_hole(
                    descriptor, off_t(truncatingIfNeeded: offset), off_t(truncatingIfNeeded: byteCount)) != 0
                {
                    if mallow_errno() != EINTR { throw failed("fallocate") }
                }
            #else
                throw FailedCall(name: "fallocate", code: ENOTSUP)
            #endif
        }

        /// Maps a range of the file, to be read and written and shared with the file, over what is mapped at an
        /// address.
        public func map(offset: UInt64, byteCount: UInt, over address: UInt) throws(FailedCall) {
            try check(.mapFile, "mmap", code: ENOMEM)
            let mapped = mmap(
                UnsafeMutableRawPointer(bitPattern: address), Int(bitPattern: byteCount), PROT_READ | PROT_WRITE,
                CInt(MAP_SHARED) | CInt(MAP_FIXED), descriptor, off_t(truncatingIfNeeded: offset))
            guard mapped != mallow_map_failed() else { throw failed("mmap") }
        }

        /// Makes all that was written to the file durable, also through its mappings: Linux keeps one copy of a page
        /// for both.
        public func synchronize() throws(FailedCall) {
            try check(.synchronizeFile, "fsync")
            while fsync(descriptor) != 0 {
                if mallow_errno() != EINTR { throw failed("fsync") }
            }
        }

        /// Unlocks and closes the file. Mappings stay: they would keep the lock.
        public func close() {
            _ = mallow_unlock_file(descriptor)
            _ = CMallowShims.close(descriptor)
        }

        // MARK: - Privates

        private static func failed(_ name: String) -> FailedCall { FailedCall(name: name, code: mallow_errno()) }
        private func failed(_ name: String) -> FailedCall { Self.failed(name) }

        private static func check(_ call: Call, _ name: String, code: Int32 = EIO) throws(FailedCall) {
            if FaultInjection.shouldFail(call) { throw FailedCall(name: name, code: code) }
        }

        private func check(_ call: Call, _ name: String, code: Int32 = EIO) throws(FailedCall) {
            try Self.check(call, name, code: code)
        }

        /// An error in place of the signal that a file gives which becomes longer than the process may make one.
        private func checkLimit(_ name: String, _ end: UInt64) throws(FailedCall) {
            if end > mallow_file_size_limit() { throw FailedCall(name: name, code: EFBIG) }
        }
    }

    /// A descriptor that somebody else opened and closes: a pipe, a socket, a file. One call each, repeated where a
    /// signal interrupts it.
    public struct SystemDescriptor: Sendable {
        public let descriptor: Int32

        public init(_ descriptor: Int32) { self.descriptor = descriptor }

        /// How many places one call takes.
        public static var mostParts: Int { 1024 }

        /// Fills places in their order, with what is there. Returns how many bytes that was: 0 at the end, and nil
        /// where there is nothing yet and the descriptor does not wait.
        public func read(into parts: UnsafeBufferPointer<iovec>) throws(FailedCall) -> Int? {
            try transfer(.readDescriptor, "readv") { readv(descriptor, parts.baseAddress, Int32(parts.count)) }
        }

        /// Writes places in their order. Returns how many bytes were taken; nil where none can be now and the
        /// descriptor does not wait.
        public func write(_ parts: UnsafeBufferPointer<iovec>) throws(FailedCall) -> Int? {
            try transfer(.writeDescriptor, "writev") { writev(descriptor, parts.baseAddress, Int32(parts.count)) }
        }

        /// Waits until there is something to read, or until something can be written; also for an error, which the next
        /// call then meets.
        public func wait(toWrite: Bool) throws(FailedCall) {
            _ = try transfer(.waitForDescriptor, "poll") {
                var request = pollfd(fd: descriptor, events: Int16(toWrite ? POLLOUT : POLLIN), revents: 0)
                return Int(poll(&request, 1, -1))
            }
        }

        private func transfer(_ call: Call, _ name: String, _ body: () -> Int) throws(FailedCall) -> Int? {
            while true {
                let injected = FaultInjection.failure(of: call, otherwise: EIO)
                let count = injected == nil ? body() : -1
                if count >= 0 { return count }
                let code = injected ?? mallow_errno()
                if code == EAGAIN || code == EWOULDBLOCK { return nil }
                if code != EINTR { throw FailedCall(name: name, code: code) }
            }
        }
    }
#endif
