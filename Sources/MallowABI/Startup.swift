// What the library does when the loader starts it and when the program ends: settings from the environment, and the
// report. `malloc` works before the first of these and after the last.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
#else
    import MallocHeap
#endif

#if hasFeature(Embedded)
    /// Called by the loader. glibc hands initialisers the environment, musl does not.
    @section(".init_array") @used
    nonisolated(unsafe) private let atStart: @convention(c) () -> Void = {
        Settings.readUnlessPrivileged()
    }

    /// Called by the loader when the program ends by `exit` or a return from `main`.
    @section(".fini_array") @used
    nonisolated(unsafe) private let atEnd: @convention(c) () -> Void = {
        Malloc.checkHardenedBlocks()
        Settings.reportAtEnd()
    }
#else
    // In an executable, CMallowMalloc says when these are called, and that they are only where malloc is Mallow's.

    /// A program that names Mallow among its dependencies wants its memory given back, and expects threads.
    @c(mallow_impl_start)
    public func mallowStart() {
        Malloc.setBackgroundPurging(true)
        Settings.readUnlessPrivileged()
    }

    @c(mallow_impl_end)
    public func mallowEnd() {
        Malloc.checkHardenedBlocks()
        Settings.reportAtEnd()
    }
#endif

/// Every trap of the compiler's (an overflow, a nil that was unwrapped) in this library comes here.
@c(mallow_trapped)
public func mallowTrapped() {
    let message: StaticString = "mallow: internal error, the heap is in a state that cannot be. Please report it.\n"
    _ = write(2, message.utf8Start, message.utf8CodeUnitCount)
    abort()
}

typealias Environment = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

/// The variables `MALLOW_…`.
enum Settings {
    private static let statistics: StaticString = "MALLOW_STATS="
    private static let signal: StaticString = "MALLOW_STATS_SIGNAL="
    private static let purgeDelay: StaticString = "MALLOW_PURGE_DELAY="
    private static let background: StaticString = "MALLOW_BACKGROUND="
    private static let limit: StaticString = "MALLOW_LIMIT="
    private static let hugePages: StaticString = "MALLOW_HUGE_PAGES="
    private static let hardened: StaticString = "MALLOW_HARDENED="
    private static let guardRate: StaticString = "MALLOW_GUARD_RATE="

    /// A program with rights of its own must not write files where its caller says.
    static func readUnlessPrivileged() {
        if mallow_is_privileged() == 0 { read(mallow_environment()) }
        Malloc.startBackgroundPurging()
    }

    private static func read(_ environment: Environment?) {
        guard let environment else { return }
        var signalName: UnsafeMutablePointer<CChar>?
        var rate: UnsafeMutablePointer<CChar>?
        var index = 0
        while let entry = environment[index] {
            index &+= 1
            guard hasPrefix(entry, "MALLOW_") else { continue }
            if hasPrefix(entry, statistics) {
                setDestination(entry + statistics.utf8CodeUnitCount)
            } else if hasPrefix(entry, signal) {
                signalName = entry + signal.utf8CodeUnitCount
            } else if hasPrefix(entry, purgeDelay) {
                setPurgeDelay(entry + purgeDelay.utf8CodeUnitCount)
            } else if hasPrefix(entry, background) {
                setBackground(entry + background.utf8CodeUnitCount)
            } else if hasPrefix(entry, limit) {
                setLimit(entry + limit.utf8CodeUnitCount)
            } else if hasPrefix(entry, hugePages) {
                setHugePages(entry + hugePages.utf8CodeUnitCount)
            } else if hasPrefix(entry, hardened) {
                setHardening(entry + hardened.utf8CodeUnitCount)
            } else if hasPrefix(entry, guardRate) {
                rate = entry + guardRate.utf8CodeUnitCount
            } else if !hasPrefix(entry, "MALLOW_LIBRARY=") && !hasPrefix(entry, "MALLOW_TOOL=") {
                complain("unknown setting ", entry, upToEqualsSign: true)
            }
        }
        if let signalName { setSignal(signalName) }
        if let rate { setGuardRate(rate) }
    }

    private static func setGuardRate(_ text: UnsafeMutablePointer<CChar>) {
        if text[0] == 0 { return }
        guard let rate = number(text, upTo: 1 << 30) else {
            complain(
                "MALLOW_GUARD_RATE must be a number from 1 to 1073741824, or 0 for none: ", text,
                upToEqualsSign: false)
            return
        }
        if rate == 0 { return }
        if Malloc.hardeningLevel != 0 {
            complain("MALLOW_GUARD_RATE cannot be had together with MALLOW_HARDENED", nil, upToEqualsSign: false)
            return
        }
        guard Malloc.setGuardRate(rate) else {
            complain("no address space for MALLOW_GUARD_RATE", nil, upToEqualsSign: false)
            return
        }
        FaultReports.install()
    }

    private static func setPurgeDelay(_ text: UnsafeMutablePointer<CChar>) {
        if text[0] == 0 { return }
        guard let milliseconds = number(text, upTo: 1 << 30) else {
            complain(
                "MALLOW_PURGE_DELAY must be milliseconds from 0 to 1073741824: ", text, upToEqualsSign: false)
            return
        }
        Malloc.setPurgeDelay(milliseconds: milliseconds)
    }

    private static func setHardening(_ text: UnsafeMutablePointer<CChar>) {
        if text[0] == 0 { return }
        guard let level = number(text, upTo: 2) else {
            complain("MALLOW_HARDENED must be 0, 1 or 2: ", text, upToEqualsSign: false)
            return
        }
        if !Malloc.startHardening(level: level) {
            complain("no memory for MALLOW_HARDENED=", text, upToEqualsSign: false)
        }
        // Level 2 has guard pages.
        if Malloc.hardeningLevel == 2 { FaultReports.install() }
    }

    private static func setBackground(_ text: UnsafeMutablePointer<CChar>) {
        if text[0] == 0 { return }
        guard let isOn = truth(text) else {
            complain("MALLOW_BACKGROUND must be 1 or 0: ", text, upToEqualsSign: false)
            return
        }
        Malloc.setBackgroundPurging(isOn)
    }

    /// Yes or no, in the words that people use for them.
    private static func truth(_ text: UnsafeMutablePointer<CChar>) -> Bool? {
        if equals(text, "1") || equals(text, "yes") || equals(text, "on") || equals(text, "true") { return true }
        if equals(text, "0") || equals(text, "no") || equals(text, "off") || equals(text, "false") { return false }
        return nil
    }

    /// One of these words, in capitals too.
    private static func isWordForTruth(_ text: UnsafeMutablePointer<CChar>) -> Bool {
        isWord(text, "yes") || isWord(text, "on") || isWord(text, "true")
            || isWord(text, "no") || isWord(text, "off") || isWord(text, "false")
    }

    private static func isWord(_ text: UnsafeMutablePointer<CChar>, _ word: StaticString) -> Bool {
        for index in 0..<word.utf8CodeUnitCount
        where text[index] | 0x20 != CChar(bitPattern: word.utf8Start[index]) { return false }
        return text[word.utf8CodeUnitCount] == 0
    }

    /// A decimal number. `largest` is below 2^60.
    private static func number(_ text: UnsafeMutablePointer<CChar>, upTo largest: UInt) -> UInt? {
        var value: UInt = 0
        var index = 0
        while text[index] != 0 {
            guard text[index] >= 0x30, text[index] <= 0x39 else { return nil }
            value = value &* 10 &+ UInt(text[index] &- 0x30)
            if value > largest { return nil }
            index &+= 1
        }
        return value
    }

    private static func setLimit(_ text: UnsafeMutablePointer<CChar>) {
        if text[0] == 0 { return }
        guard let byteCount = number(text, upTo: 1 << 50), byteCount > 0 else {
            complain("MALLOW_LIMIT must be bytes from 1 to 1125899906842624: ", text, upToEqualsSign: false)
            return
        }
        Malloc.setLimit(byteCount: byteCount)
    }

    private static func setHugePages(_ text: UnsafeMutablePointer<CChar>) {
        if text[0] == 0 { return }
        guard let isOn = truth(text) else {
            complain("MALLOW_HUGE_PAGES must be 1 or 0: ", text, upToEqualsSign: false)
            return
        }
        Malloc.setHugePages(isOn ? .forLargeBlocks : .never)
    }

    // MARK: - Where the report goes

    /// The path as it was at the start, since programs write over their environment. Static memory of the process.
    private static var destination: UnsafeMutablePointer<CChar> {
        mallow_report_path().assumingMemoryBound(to: CChar.self)
    }

    private static func setDestination(_ path: UnsafeMutablePointer<CChar>) {
        if path[0] == 0 || truth(path) == false { return }
        // Other settings have levels and more words for yes. Nobody means a file by these.
        let isLevel = number(path, upTo: 1 << 30) != nil && !equals(path, "1")
        if isLevel || truth(path) == nil && isWordForTruth(path) {
            complain("MALLOW_STATS must be 1, 0 or the name of a file: ", path, upToEqualsSign: false)
            return
        }
        guard strlen(path) < Int(MALLOW_REPORT_PATH_BYTES) else {
            complain("too long a path in MALLOW_STATS", nil, upToEqualsSign: false)
            return
        }
        strcpy(destination, path)
        Malloc.startCounting()
    }

    private static func setSignal(_ name: UnsafeMutablePointer<CChar>) {
        if name[0] == 0 { return }
        let number = signalNumber(name)
        guard isHarmless(number), mallow_handle_signal(number, { _ in Settings.reportOnSignal() }) == 0 else {
            complain(
                "MALLOW_STATS_SIGNAL must be HUP, USR1, USR2, WINCH, URG, or a number of these or from 34 on: ", name,
                upToEqualsSign: false)
            return
        }
        Malloc.startCounting()
    }

    /// Signals that say what a program's user wants to say with them; not those of faults, or of its end.
    private static func isHarmless(_ number: CInt) -> Bool {
        number == SIGHUP || number == SIGUSR1 || number == SIGUSR2 || number == SIGWINCH || number == SIGURG
            || number >= 34 && number <= 64
    }

    private static func signalNumber(_ name: UnsafeMutablePointer<CChar>) -> CInt {
        let short = hasPrefix(name, "SIG") ? name + 3 : name
        if equals(short, "HUP") { return SIGHUP }
        if equals(short, "USR1") { return SIGUSR1 }
        if equals(short, "USR2") { return SIGUSR2 }
        if equals(short, "WINCH") { return SIGWINCH }
        if equals(short, "URG") { return SIGURG }
        var number: CInt = 0
        var index = 0
        while short[index] != 0 {
            guard short[index] >= 0x30, short[index] <= 0x39, number < 100 else { return 0 }
            number = number &* 10 &+ CInt(short[index] &- 0x30)
            index &+= 1
        }
        return number
    }

    // MARK: - Reporting

    static func reportAtEnd() {
        if destination[0] != 0 { report() }
    }

    /// A signal may come while this thread holds a lock of the heap: then the report waits for a call that does not.
    static func reportOnSignal() {
        let savedErrno = mallow_errno()
        Malloc.whenUnlocked { Settings.report() }
        mallow_set_errno(savedErrno)
    }

    static func report() {
        let path = destination
        if path[0] == 0 || truth(path) == true {
            return Report.write(to: 2, asJSON: false)
        }
        // No larger than the compiler puts on the stack: see `Report.withScratchMemory`.
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
            let expanded = buffer.baseAddress.unsafelyUnwrapped
            expand(path, into: expanded, capacity: buffer.count)
            let descriptor = mallow_open_to_append(expanded)
            guard descriptor >= 0 else {
                complain("cannot write the report of MALLOW_STATS to ", expanded, upToEqualsSign: false)
                return
            }
            Report.write(to: descriptor, asJSON: hasSuffix(expanded, ".json"))
            close(descriptor)
        }
    }

    /// Puts the process's number in the place of each `%p`, and a percent sign in that of each `%%`.
    private static func expand(
        _ path: UnsafeMutablePointer<CChar>, into result: UnsafeMutablePointer<CChar>, capacity: Int
    ) {
        var source = 0
        var count = 0
        while path[source] != 0, count &+ 24 < capacity {
            if path[source] == 0x25, path[source &+ 1] == 0x70 {
                var divisor = 1
                let number = Int(getpid())
                while number / divisor >= 10 { divisor &*= 10 }
                while divisor > 0 {
                    result[count] = CChar(truncatingIfNeeded: 0x30 &+ number / divisor % 10)
                    count &+= 1
                    divisor /= 10
                }
                source &+= 2
            } else if path[source] == 0x25, path[source &+ 1] == 0x25 {
                result[count] = 0x25
                count &+= 1
                source &+= 2
            } else {
                result[count] = path[source]
                count &+= 1
                source &+= 1
            }
        }
        result[count] = 0
    }

    // MARK: - Text

    private static func complain(_ what: StaticString, _ name: UnsafeMutablePointer<CChar>?, upToEqualsSign: Bool) {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { buffer in
            var text = TextWriter(descriptor: 2, buffer: buffer)
            text.write("mallow: ")
            text.write(what)
            if let name {
                var index = 0
                while name[index] != 0, index < 300, !(upToEqualsSign && name[index] == 0x3d) {
                    text.write(byte: UInt8(bitPattern: name[index]))
                    index &+= 1
                }
            }
            text.write("; ignored\n")
            text.flush()
        }
    }

    private static func hasPrefix(_ text: UnsafeMutablePointer<CChar>, _ prefix: StaticString) -> Bool {
        for index in 0..<prefix.utf8CodeUnitCount where text[index] != CChar(bitPattern: prefix.utf8Start[index]) {
            return false
        }
        return true
    }

    private static func equals(_ text: UnsafeMutablePointer<CChar>, _ other: StaticString) -> Bool {
        hasPrefix(text, other) && text[other.utf8CodeUnitCount] == 0
    }

    private static func hasSuffix(_ text: UnsafeMutablePointer<CChar>, _ suffix: StaticString) -> Bool {
        let length = strlen(text)
        return length >= suffix.utf8CodeUnitCount && equals(text + (length - suffix.utf8CodeUnitCount), suffix)
    }
}
