// Hardened mode against the model, with its invariants checked after each step; findings of what was planted; and every
// call to the kernel made to fail. Each in a process of its own: the mode cannot be turned off.

import CMallowShims
import MallocHeap
import SystemMemory
import Testing

extension HeapTests {
    @Suite(.serialized) struct Hardened {
        @Test(arguments: [1, 2] as [UInt]) func keepsEveryInvariant(level: UInt) async {
            await #expect(processExitsWith: .success) { [level] in
                // These are ordinary blocks, and stay so.
                var before = Model(seed: 10)
                for _ in 0..<300 { before.step(largest: 100_000, around: 50) }
                #expect(Malloc.startHardening(level: level) && Malloc.hardeningLevel == level)
                for (seed, largest) in [(1, 256), (2, 4096), (3, 70_000), (4, 3 << 20), (5, 40 << 20)]
                    as [(UInt64, UInt)]
                {
                    var model = Model(seed: seed)
                    let isLarge = largest > 1 << 20
                    for step in 0..<(isLarge ? 100 : 600) {
                        model.step(largest: largest, around: isLarge ? 12 : 150)
                        if let broken = Malloc.brokenInvariant() {
                            Issue.record("seed \(seed), step \(step): \(broken)")
                            return
                        }
                        if step % 50 == 0 { model.checkOverlap() }
                        if step % 200 == 199 { Malloc.trim() }
                    }
                    if seed == 2 {
                        for _ in 0..<300 { before.step(largest: 100_000, around: 20) }
                    }
                    let figures = Malloc.statistics()
                    #expect(figures.liveBlocks >= UInt(model.blocks.count + before.blocks.count))
                    model.freeAll()
                    #expect(model.refusals == 0)
                }
                before.freeAll()
                #expect(Malloc.trim() && !Malloc.trim())
                #expect(Malloc.brokenInvariant() == nil)
                #expect(Malloc.statistics().liveBlocks == 0)
                Malloc.checkHardenedBlocks()
            }
        }

        /// What is asked for is what may be used, and all of it is zero; what is beyond it is no zero.
        @Test func handsOutWhatWasAskedFor() async {
            await #expect(processExitsWith: .success) {
                Malloc.startHardening(level: 2)
                for byteCount in [0, 1, 13, 24, 1000, 32_000, 32_760, 32_768, 100_000, 20 << 20] as [UInt] {
                    for exponent in UInt(0)...16 {
                        guard let block = Malloc.allocate(byteCount, alignment: 1 << exponent) else {
                            Issue.record("no \(byteCount) bytes")
                            return
                        }
                        #expect(UInt(bitPattern: block) % (1 << exponent) == 0)
                        #expect(Malloc.usableSize(block) == byteCount && Malloc.goodSize(byteCount) == byteCount)
                        if byteCount < 32_760 {
                            let bytes = UnsafeRawBufferPointer(start: block, count: Int(byteCount) + 8)
                            #expect(
                                bytes.dropLast(8).allSatisfy { $0 == 0 }
                                    && bytes.suffix(8).allSatisfy { $0 & 0x81 == 0x80 })
                        }
                        memset(block, 1, Int(byteCount))
                        if exponent > 4 {
                            Malloc.deallocate(block, alignment: 1 << exponent, byteCount: byteCount)
                        } else {
                            Malloc.deallocate(block, byteCount: byteCount)
                        }
                    }
                }
                // Freed blocks rest: none of them comes back at once.
                let first = (0..<100).map { _ in Malloc.allocate(100) }
                for block in first { Malloc.deallocate(block) }
                let second = (0..<1000).map { _ in Malloc.allocate(100) }
                #expect(Set(first).isDisjoint(with: second))
                // And places are no row.
                let steps = zip(second, second.dropFirst()).map { UInt(bitPattern: $1) &- UInt(bitPattern: $0) }
                #expect(Set(steps).count > 100)
            }
        }

        @Test func findsWhatWasPlanted() async {
            func expectLine(_ words: String..., from result: ExitTest.Result?) {
                let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
                let line = text.split(separator: "\n").first { $0.hasPrefix("mallow: ") } ?? ""
                for word in words { #expect(line.contains(word), "\(word) is not in: \(text)") }
            }
            // Somewhere among the blocks of a random program; whatever it frees next of them tells, or its end does.
            let past = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
                Malloc.startHardening(level: 2)
                var model = Model(seed: 3)
                for _ in 0..<500 { model.step(largest: 3000, around: 100) }
                let victim = model.blocks[50]
                (victim.pointer + Int(victim.byteCount)).storeBytes(of: 0, as: UInt8.self)
                model.freeAll()
            }
            // What tells may be the block itself, or the one behind it.
            expectLine(" past ", " end", "MALLOW_GUARD_RATE", from: past)
            let late = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
                Malloc.startHardening(level: 2)
                var model = Model(seed: 4)
                for _ in 0..<500 { model.step(largest: 3000, around: 100) }
                let victim = model.blocks[50]
                model.free(at: 50)
                victim.pointer.storeBytes(of: 1, toByteOffset: Int(victim.byteCount / 2), as: UInt8.self)
                Malloc.checkHardenedBlocks()
            }
            expectLine("mallow: exit(0x", "written after it was freed", from: late)
            let twice = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
                Malloc.startHardening(level: 1)
                var model = Model(seed: 5)
                for _ in 0..<500 { model.step(largest: 3000, around: 100) }
                let victim = model.blocks[50].pointer
                model.free(at: 50)
                Malloc.deallocate(victim)
            }
            expectLine("double free", from: twice)
        }

        /// The n-th call to the kernel fails, for every n, or all do from there on.
        @Test(arguments: [1, 1_000_000]) func withstandsRefusals(count: Int) async {
            await #expect(processExitsWith: .success) { [count] in
                Malloc.startHardening(level: 2)
                func run() -> Model {
                    var model = Model(seed: 77)
                    for step in 0..<80 {
                        model.step(largest: 2 << 20, around: 8)
                        if step == 40 { Malloc.trim() }
                    }
                    return model
                }
                FaultInjection.fail(nth: .max)
                var model = run()
                model.freeAll()
                let calls = FaultInjection.end().calls
                #expect(calls > 10)
                for nth in stride(from: 1, through: calls, by: 5) {
                    Malloc.trim()
                    FaultInjection.fail(nth: nth, count: count)
                    var model = run()
                    _ = FaultInjection.end()
                    if let broken = Malloc.brokenInvariant() {
                        Issue.record("call \(nth) failed: \(broken)")
                        return
                    }
                    model.checkOverlap()
                    model.freeAll()
                }
                var after = run()
                after.freeAll()
                #expect(after.refusals == 0)
            }
        }
    }
}
