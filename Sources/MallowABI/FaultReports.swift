// The signal handler behind `MALLOW_GUARD_RATE`: it reports a fault at a guarded block, and then lets what would have
// happened without it happen. It is installed only where a rate is set.
//
// Where nobody else handles the signal, the default action is restored and the handler returns: the instruction faults
// again, and the program ends as it would have, with the same status and the same core dump. A handler that was there
// before is called. One that the program installs later takes the signal before us; if it calls the one that it found,
// as good handlers do, we report then.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
#else
    import MallocHeap
#endif

enum FaultReports {
    /// Called once, when the library starts.
    static func install() {
        take(SIGSEGV)
        take(SIGBUS)
    }

    private static func take(_ number: CInt) {
        _ = mallow_handle_fault(number) { number, information, context in
            FaultReports.handle(number, information, context)
        }
    }

    private static func handle(
        _ number: CInt, _ information: UnsafeMutablePointer<siginfo_t>?, _ context: UnsafeMutableRawPointer?
    ) {
        let savedErrno = mallow_errno()
        let fault = mallow_describe_fault(number, information, context)
        // A signal that a process sent has no address.
        if fault.is_fault != 0 {
            GuardedReport.write(fault)
            Malloc.reportHardenedFault(fault)
        }
        let previous = mallow_previous_action(number)
        if mallow_is_default(previous) != 0 || mallow_is_ignored(previous) != 0 && fault.recurs != 0 {
            mallow_set_default_action(number)
            if fault.recurs == 0 { raise(number) }
        } else if mallow_is_ignored(previous) == 0 {
            mallow_call_action(previous, number, information, context)
        }
        mallow_set_errno(savedErrno)
    }
}
