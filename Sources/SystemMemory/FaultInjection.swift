// Makes the kernel's memory calls fail on request, for tests: the n-th call from now, and as many after it as wished.
// Only in the ordinary module; the C library has no trace of it. State is atomic, so calls from any thread count.

#if !hasFeature(Embedded)
    import Synchronization

    /// A plan of failures for `SystemMemory`. One plan at a time, for the whole process.
    public enum FaultInjection {
        private static let callsUntilFailure = Atomic<Int>(.max)
        private static let failures = Atomic<Int>(0)
        private static let mask = Atomic<Int>(0)
        private static let injected = Atomic<Int>(0)
        private static let counted = Atomic<Int>(0)
        private static let code = Atomic<Int32>(0)

        /// Lets the `nth` call from now (1 is the next) fail, and the `count - 1` calls after it. Only calls of the
        /// given kinds count.
        ///
        /// - Parameter code: the errno with which a call of `SystemDescriptor` fails, in place of EIO: also one on
        ///   which it tries again, or waits.
        public static func fail(
            nth: Int, count: Int = 1, of calls: [Call] = [.map, .unmap, .discard, .remap], code: Int32? = nil
        ) {
            mask.store(0, ordering: .sequentiallyConsistent)
            self.code.store(code ?? 0, ordering: .relaxed)
            injected.store(0, ordering: .relaxed)
            counted.store(0, ordering: .relaxed)
            failures.store(count, ordering: .relaxed)
            callsUntilFailure.store(nth, ordering: .relaxed)
            mask.store(calls.reduce(0) { $0 | 1 << $1.rawValue }, ordering: .sequentiallyConsistent)
        }

        /// Ends the plan. Returns how many calls it saw, and how many of them it made fail.
        @discardableResult
        public static func end() -> (calls: Int, failed: Int) {
            mask.store(0, ordering: .sequentiallyConsistent)
            return (counted.load(ordering: .relaxed), injected.load(ordering: .relaxed))
        }

        /// The errno with which a call fails that the plan names, if it is to fail.
        static func failure(of call: Call, otherwise usual: Int32) -> Int32? {
            guard shouldFail(call) else { return nil }
            let code = code.load(ordering: .relaxed)
            return code == 0 ? usual : code
        }

        static func shouldFail(_ call: Call) -> Bool {
            guard mask.load(ordering: .relaxed) & (1 << call.rawValue) != 0 else { return false }
            counted.wrappingAdd(1, ordering: .relaxed)
            let left = callsUntilFailure.wrappingSubtract(1, ordering: .relaxed).newValue
            guard left <= 0, left > -failures.load(ordering: .relaxed) else { return false }
            injected.wrappingAdd(1, ordering: .relaxed)
            return true
        }
    }
#endif
