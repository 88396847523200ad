// Every call to the kernel made to fail: the n-th one, for every n that a run has, and from the n-th on. What fails is
// refused with ENOMEM, nothing that lives is lost, and all works again when the kernel does.

import MallocHeap
import SystemMemory
import Testing

extension HeapTests {
    @Suite(.serialized) struct FailingSystem {
        /// In a process of its own: a plan of failures holds for every thread of a process.
        @Test(arguments: [1, 1_000_000]) func atAnyCall(count: Int) async {
            await #expect(processExitsWith: .success) { [count] in
                // What is due by the clock would make each run another.
                Malloc.setPurgeDelay(milliseconds: 1 << 30)
                func run(seed: UInt64) -> Model {
                    var model = Model(seed: seed)
                    for step in 0..<110 {
                        model.step(largest: 40 << 20, around: 10)
                        if step == 54 { Malloc.trim() }
                    }
                    return model
                }
                Malloc.trim()
                FaultInjection.fail(nth: .max)
                var model = run(seed: 77)
                model.freeAll()
                let calls = FaultInjection.end().calls
                #expect(calls > 20)
                var refusals = 0
                var failed = 0
                for nth in 1...calls {
                    Malloc.trim()
                    FaultInjection.fail(nth: nth, count: count)
                    var model = run(seed: 77)
                    refusals += model.refusals
                    failed += FaultInjection.end().failed
                    if let broken = Malloc.brokenInvariant() {
                        Issue.record("call \(nth) failed: \(broken)")
                        return
                    }
                    model.checkOverlap()
                    model.freeAll()
                    if let broken = Malloc.brokenInvariant() {
                        Issue.record("after call \(nth) failed and all was freed: \(broken)")
                        return
                    }
                }
                // A single refusal is made good by giving back what lies idle; one that lasts is not.
                #expect(refusals > 0 || count == 1)
                #expect(failed >= calls / 2)
                // The kernel works again, and so does everything.
                var after = run(seed: 78)
                after.freeAll()
                #expect(after.refusals == 0)
            }
        }

        @Test func sizesThatCannotBe() {
            let block = Malloc.allocate(100)
            block?.storeBytes(of: 7, as: Int.self)
            #expect(Malloc.allocate(UInt(Int.max) + 1) == nil)
            #expect(Malloc.allocate(UInt.max) == nil)
            #expect(Malloc.reallocate(block, UInt.max - 4096) == nil)
            #expect(Malloc.reallocate(block, 1 << 62) == nil)
            #expect(Malloc.allocateZeroed(count: 1 << 40, byteCount: 1 << 40) == nil)
            #expect(Malloc.allocate(UInt.max - 100, alignment: 4096) == nil)
            #expect(block?.load(as: Int.self) == 7)
            Malloc.deallocate(block)
        }
    }
}
