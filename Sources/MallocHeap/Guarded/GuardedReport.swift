// What is printed of a memory error that a guarded block has shown: one line that says what, where and what to do about
// it; below it, by whom, and where the block was allocated and freed.
//
//     mallow: heap-use-after-free: read of 8 bytes at 0x7f…, 16 bytes inside a block of 40 bytes at 0x7f…, …; free …
//         accessed by thread 4711:
//             /usr/bin/server+0x11c9 (handle+0x19)
//         allocated by thread 4711:
//             …
//         freed by thread 4712:
//             …
//
// A line of a trace is a file and an offset in it, which `addr2line -e FILE OFFSET` turns into a line of source; for
// all but the first frame of a fault it is that of the call, not of what it returns to. A question mark stands for a
// word of the stack that looks like a return address, and may be left over from an earlier call.
//
// It runs in a signal handler: its memory comes from the kernel, its only output is `write`, and it takes no lock.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// The text of a `Finding`.
public enum GuardedReport {
    /// Reports what a fault shows, if it is at an address of a guarded block's. For signal handlers.
    ///
    /// - Returns: whether it was, and the report is written.
    @discardableResult
    public static func write(_ fault: mallow_fault) -> Bool {
        let access = Finding.Access(rawValue: UInt8(truncatingIfNeeded: fault.access)) ?? .unknown
        guard GuardedPool.contains(UInt(fault.address)) else { return false }
        let byteCount = access == .execute ? 0 : AccessSize.byteCount(ofInstructionAt: UInt(fault.instruction))
        guard let finding = Finding(faultAt: UInt(fault.address), access: access, byteCount: byteCount), enter()
        else { return false }
        withTrace { trace in
            Trace.take(
                trace, instruction: UInt(fault.instruction), frame: UInt(fault.frame), stack: UInt(fault.stack))
            write(finding, trace, isFault: true)
        }
        Process.state.pointee.reportingThread.store(0, ordering: .releasing)
        return true
    }

    /// One report at a time, and no flood of them from a program that goes on. Waits two seconds at most for another
    /// thread's: to go on would end the program in the middle of it.
    private static func enter() -> Bool {
        let state = Process.state
        guard state.pointee.reportCount.wrappingAdd(1, ordering: .relaxed).newValue <= reportLimit else { return false }
        let thread = UInt(mallow_thread_identity())
        for _ in 0..<2000 {
            let (exchanged, other) = state.pointee.reportingThread.compareExchange(
                expected: 0, desired: thread, ordering: .acquiring)
            if exchanged { return true }
            // A fault inside a report.
            if other == thread { return false }
            SystemMemory.sleep(milliseconds: 1)
        }
        return false
    }

    private static let reportLimit: UInt = 16

    /// Reports, and ends the program by `abort`.
    ///
    /// - Parameter frame: the frame record of the function whose caller is to blame.
    @inline(never)
    static func end(_ finding: Finding, frame: UInt) -> Never {
        withTrace { trace in
            Trace.take(trace, frame: frame)
            _ = enter()
            write(finding, trace, isFault: false)
        }
        abort()
    }

    private static func withTrace(_ body: (UInt) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: Int(bitPattern: Trace.byteCount), alignment: 8) { buffer in
            body(UInt(bitPattern: buffer.baseAddress))
        }
    }

    private static func write(_ finding: Finding, _ trace: UInt, isFault: Bool) {
        let textByteCount = 8 << 10
        let byteCount = UInt(bitPattern: textByteCount &+ CodeMap.byteCount)
        let address = SystemMemory.map(byteCount: byteCount)
        guard let memory = UnsafeMutableRawPointer(bitPattern: address) else { return }
        var text = TextWriter(
            descriptor: 2, buffer: UnsafeMutableRawBufferPointer(start: memory, count: textByteCount))
        let code = CodeMap(memory: memory + textByteCount)
        text.write("mallow: ")
        writeHeadline(finding, &text)
        text.write("; ")
        text.write(advice(finding.kind))
        text.write("\n")
        // What follows takes longer: should it fail, this much is said.
        text.flush()
        text.write(role(finding.kind))
        text.write(UInt(mallow_thread_id()))
        text.write(":\n")
        writeTrace(trace, code, &text, isFault: isFault)
        if let slot = finding.slot {
            text.write("    allocated by thread ")
            text.write(UInt(slot.pointee.allocatingThread))
            text.write(":\n")
            writeTrace(slot.allocationTrace, code, &text, isFault: false)
            if slot.pointee.state == .freed {
                text.write("    freed by thread ")
                text.write(UInt(slot.pointee.freeingThread))
                text.write(":\n")
                writeTrace(slot.freeTrace, code, &text, isFault: false)
            }
        }
        text.flush()
        SystemMemory.unmap(address: address, byteCount: byteCount)
    }

    // MARK: - What and where

    private static func writeHeadline(_ finding: Finding, _ text: inout TextWriter) {
        switch finding.kind {
        case .useAfterFree: text.write("heap-use-after-free: ")
        case .overflow, .writtenBehind: text.write("heap-buffer-overflow: ")
        case .underflow, .writtenBefore: text.write("heap-buffer-underflow: ")
        case .wild: text.write("wild access: ")
        case .doubleFree: text.write("double-free: ")
        case .invalidFree: text.write("invalid-free: ")
        case .wrongSize: text.write("wrong size: ")
        }
        switch finding.kind {
        case .doubleFree, .invalidFree, .wrongSize:
            text.write(finding.caller)
            text.write("(0x")
            text.write(hexadecimal: finding.address)
            if finding.kind == .wrongSize {
                text.write(", ")
                text.write(finding.byteCount)
            }
            text.write(")")
            if finding.kind == .doubleFree {
                text.write(" of a block of ")
                writeBytes(finding.slot?.pointee.byteCount ?? 0, &text)
                return text.write(" that was freed before")
            }
        case .writtenBehind, .writtenBefore:
            writeBytes(finding.byteCount, &text)
            text.write(" at 0x")
            text.write(hexadecimal: finding.address)
            text.write(finding.byteCount == 1 ? " was written (" : " were written (")
            text.write(finding.caller)
            text.write(" found it)")
        default:
            switch finding.access {
            case .read: text.write("read")
            case .write: text.write("write")
            case .execute: text.write("jump")
            case .unknown: text.write("access")
            }
            if finding.byteCount > 0 {
                text.write(" of ")
                writeBytes(finding.byteCount, &text)
            }
            text.write(" at 0x")
            text.write(hexadecimal: finding.address)
        }
        guard let slot = finding.slot else { return text.write(", which never was a block") }
        text.write(", ")
        writePlace(of: finding.address, slot, &text)
        text.write(" a block of ")
        writeBytes(slot.pointee.byteCount, &text)
        text.write(" at 0x")
        text.write(hexadecimal: slot.pointee.block)
        if slot.pointee.state == .freed { text.write(", which was freed") }
    }

    private static func writePlace(of address: UInt, _ slot: Slot, _ text: inout TextWriter) {
        let end = slot.pointee.block &+ slot.pointee.byteCount
        if address < slot.pointee.block {
            writeBytes(slot.pointee.block &- address, &text)
            text.write(" before")
        } else if address == slot.pointee.block {
            text.write("the start of")
        } else if address < end {
            writeBytes(address &- slot.pointee.block, &text)
            text.write(" inside")
        } else {
            writeBytes(address &- end, &text)
            text.write(" behind")
        }
    }

    private static func writeBytes(_ count: UInt, _ text: inout TextWriter) {
        text.write(count)
        text.write(count == 1 ? " byte" : " bytes")
    }

    private static func advice(_ kind: Finding.Kind) -> StaticString {
        switch kind {
        case .useAfterFree:
            "free it later, or forget the pointer when it is freed (where that was: below)"
        case .overflow, .writtenBehind:
            "allocate more, or stop at the block's end (where it was allocated: below)"
        case .underflow, .writtenBefore:
            "look for an index below 0, or a pointer that was moved too far back"
        case .wild:
            "look for a pointer that was computed wrong, or is a block's of long ago"
        case .doubleFree:
            "make clear who owns the block: one of the two frees below is one too many"
        case .wrongSize:
            "pass the size that was last asked for, or call free"
        case .invalidFree:
            "pass the pointer that malloc returned, not one derived from it"
        }
    }

    /// What the thread did whose trace comes first.
    private static func role(_ kind: Finding.Kind) -> StaticString {
        switch kind {
        case .useAfterFree, .overflow, .underflow, .wild: "    accessed by thread "
        case .writtenBehind, .writtenBefore: "    found by thread "
        case .doubleFree, .invalidFree, .wrongSize: "    called by thread "
        }
    }

    // MARK: - Traces

    private static func writeTrace(_ trace: UInt, _ code: CodeMap, _ text: inout TextWriter, isFault: Bool) {
        var index: UInt32 = 0
        while index < min(Trace.count(trace), Trace.capacity) {
            let word = Trace.word(trace, index)
            let isCertain = index < Trace.certain(trace)
            // A return address may be the first one behind its function: the call lies before it.
            let isReturn = !(isFault && index == 0)
            index &+= 1
            guard word > 4096 else { continue }
            let location = code.locate(isReturn ? word &- 1 : word)
            if !isCertain {
                guard location.isCode, location.pathCount > 0, CodeMap.isBehindCall(word) else { continue }
            } else if !location.isCode, index > 1 {
                continue
            }
            writeFrame(isReturn ? word &- 1 : word, location, &text, isCertain: isCertain)
        }
    }

    private static func writeFrame(
        _ address: UInt, _ location: CodeLocation, _ text: inout TextWriter, isCertain: Bool
    ) {
        text.write("        ")
        guard location.pathCount > 0 else {
            text.write("0x")
            text.write(hexadecimal: address)
            return text.write(location.isCode ? " (code of no file)\n" : " (no code)\n")
        }
        for index in 0..<location.pathCount { text.write(byte: UInt8(bitPattern: location.path[index])) }
        text.write("+0x")
        text.write(hexadecimal: location.offset)
        if let table = SymbolTable(path: location.path) {
            if let (name, distance) = table.symbol(at: location.offset) {
                text.write(" (")
                var index = 0
                while name[index] != 0, index < 1000 {
                    text.write(byte: UInt8(bitPattern: name[index]))
                    index &+= 1
                }
                text.write("+0x")
                text.write(hexadecimal: distance)
                text.write(")")
            }
            table.close()
        }
        text.write(isCertain ? "\n" : " ?\n")
    }
}
