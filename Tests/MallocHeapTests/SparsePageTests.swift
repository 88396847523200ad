// Memory given back inside pages: what stays resident is what live blocks touch, nothing that lives is lost, and the
// holes are filled again.

import CMallowShims
import SystemMemory
import Testing

@testable import MallocHeap

/// Blocks of 16 to 495 bytes, most of which are freed in an order of their own.
private struct Burst {
    private var random: SplitMix
    private(set) var blocks: [(pointer: UnsafeMutableRawPointer, byteCount: Int)] = []

    init(seed: UInt64) { random = SplitMix(seed: seed) }

    mutating func allocate(_ count: Int) {
        for _ in 0..<count {
            let byteCount = 16 + Int(random.next() % 480)
            guard let block = Malloc.allocate(UInt(byteCount)) else { continue }
            memset(block, CInt(byteCount & 255), byteCount)
            blocks.append((block, byteCount))
        }
    }

    /// Frees all but one in `rate`, in random order.
    mutating func free(allButOneIn rate: UInt64) {
        var survivors: [(pointer: UnsafeMutableRawPointer, byteCount: Int)] = []
        blocks.shuffle(using: &random)
        for block in blocks {
            if random.next() % rate == 0 { survivors.append(block) } else { drop(block) }
        }
        blocks = survivors
    }

    mutating func freeAll() {
        for block in blocks { drop(block) }
        blocks = []
    }

    private func drop(_ block: (pointer: UnsafeMutableRawPointer, byteCount: Int)) {
        if !isFilled(block.pointer, block.byteCount, with: UInt8(block.byteCount & 255)) {
            Issue.record("a block lost its contents")
        }
        Malloc.deallocate(block.pointer)
    }

    /// The OS pages that the blocks touch.
    var touchedOSPages: Int { touchedOSPages(of: blocks.indices) }

    func touchedOSPages(of indices: some Sequence<Int>) -> Int {
        var pages = Set<UInt>()
        for (pointer, byteCount) in indices.lazy.map({ blocks[$0] }) {
            let first = UInt(bitPattern: pointer) / Malloc.osPageByteCount
            let last = (UInt(bitPattern: pointer) + UInt(byteCount) - 1) / Malloc.osPageByteCount
            pages.formUnion(first...last)
        }
        return pages.count
    }
}

/// The OS pages of pages of small blocks that hold memory, as the kernel sees it.
private func residentOSPages() -> Int {
    var slices: [UInt] = []
    slices.reserveCapacity(100_000)
    withUnsafeMutablePointer(to: &slices) { slices in
        Process.forEachPage { page in
            // No allocation in here: the capacity is reserved.
            if page.pointee.kind == PageKind.small, slices.pointee.count < 100_000 {
                slices.pointee.append(page.start)
            }
        }
    }
    var count = 0
    for slice in slices {
        var states = [UInt8](repeating: 0, count: 64)
        let status = mincore(UnsafeMutableRawPointer(bitPattern: slice)!, Int(Layout.sliceByteCount), &states)
        if status == 0 { count += states.count { $0 & 1 != 0 } }
    }
    return count
}

extension HeapTests {
    @Suite(.serialized) struct SparsePages {
        /// 1 in 200 and 1 in 20 blocks survive, and only what they touch stays.
        @Test(arguments: [200, 20] as [UInt64]) func keepWhatLiveBlocksTouch(rate: UInt64) {
            Malloc.trim()
            let before = residentOSPages()
            var burst = Burst(seed: rate)
            burst.allocate(60_000)
            let full = residentOSPages() - before
            burst.free(allButOneIn: rate)
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            let touched = burst.touchedOSPages
            let left = residentOSPages() - before
            // Beside them, at most an OS page that is not carved yet for each class and the heap's own pages.
            #expect(left <= touched * 115 / 100 + 40, "\(left) OS pages are resident, \(touched) are touched")
            #expect(touched < full * 6 / 10)

            // What follows fills the holes: as many blocks again need no more memory than before.
            burst.allocate(60_000 - burst.blocks.count)
            #expect(residentOSPages() - before <= full * 115 / 100)
            #expect(Malloc.brokenInvariant() == nil)
            burst.freeAll()
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// Without a call of `trim`: a program that goes on calling, a little.
        @Test func goBackByThemselves() {
            Malloc.trim()
            let before = residentOSPages()
            var burst = Burst(seed: 5)
            burst.allocate(60_000)
            burst.free(allButOneIn: 200)
            let touched = burst.touchedOSPages
            let start = SystemMemory.milliseconds()
            var left = residentOSPages() - before
            while left > touched * 115 / 100 + 80, SystemMemory.milliseconds() < start + 20_000 {
                for byteCount in stride(from: 16, to: 480, by: 48) as StrideTo<UInt> {
                    Malloc.deallocate(Malloc.allocate(byteCount))
                }
                usleep(2000)
                left = residentOSPages() - before
            }
            #expect(left <= touched * 115 / 100 + 80, "\(left) OS pages are resident, \(touched) are touched")
            #expect(Malloc.brokenInvariant() == nil)
            burst.freeAll()
            Malloc.trim()
        }

        /// What was freed for longer than the purge delay goes with the first calls after a pause, whatever it was: pages
        /// that are wholly free, runs, mappings. Each call gives back what it may spend on that, 32 MiB.
        @Test(arguments: [(50_000, 1000), (150, 400_000), (3, 20_000_000)] as [(Int, UInt)])
        func whatWaitsGoesWithTheFirstCalls(count: Int, byteCount: UInt) async {
            await #expect(processExitsWith: .success) { [count, byteCount] in
                Malloc.setPurgeDelay(milliseconds: 20)
                func callALittle(_ calls: Int) {
                    for _ in 0..<calls { Malloc.deallocate(Malloc.allocate(64)) }
                }
                func waiting() -> UInt {
                    let statistics = Malloc.statistics()
                    return statistics.committedBytes - statistics.liveBytes
                }
                // The second time the program is busy for a moment before it pauses.
                for busyCalls in [0, 1000] {
                    callALittle(10)
                    Malloc.trim()
                    let before = waiting()
                    let blocks = (0..<count).map { _ in
                        let block = Malloc.allocate(byteCount).unsafelyUnwrapped
                        for offset in stride(from: 0, to: Int(byteCount), by: 4096) {
                            block.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
                        }
                        return block
                    }
                    for block in blocks { Malloc.deallocate(block) }
                    #expect(waiting() > before + 20 << 20)
                    callALittle(busyCalls)
                    usleep(100_000)
                    callALittle(3)
                    if busyCalls > 0 {
                        for size in [32, 80, 700] as [UInt] { Malloc.deallocate(Malloc.allocate(size)) }
                    }
                    #expect(waiting() < before + 1 << 20, "\(waiting()) bytes wait, \(before) before")
                }
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        /// Every step of a random program is followed by giving back all that can go: each hole is made and filled
        /// in all the ways there are.
        @Test(arguments: [(21, 256), (22, 5000), (23, 33_000), (24, 300_000)] as [(UInt64, UInt)])
        func randomStepsAndSweeps(seed: UInt64, largest: UInt) {
            var model = Model(seed: seed)
            for step in 0..<500 {
                model.step(largest: largest, around: 400)
                Malloc.trim()
                if let broken = Malloc.brokenInvariant() {
                    Issue.record("after step \(step): \(broken)")
                    break
                }
                if step % 100 == 0 { model.checkOverlap() }
            }
            model.freeAll()
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            #expect(model.refusals == 0)
        }

        /// The kernel refuses to take memory back: nothing is lost but the memory.
        @Test func refusedByTheKernel() async {
            await #expect(processExitsWith: .success) {
                var burst = Burst(seed: 9)
                burst.allocate(20_000)
                FaultInjection.fail(nth: 1, count: 1_000_000)
                burst.free(allButOneIn: 50)
                Malloc.trim()
                FaultInjection.end()
                #expect(Malloc.brokenInvariant() == nil)
                burst.allocate(20_000)
                burst.freeAll()
                Malloc.trim()
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        /// Blocks that another thread frees come to the page by message; the page is swept all the same.
        @Test func blocksFreedByAnotherThread() {
            Malloc.trim()
            let before = residentOSPages()
            var burst = Burst(seed: 6)
            burst.allocate(20_000)
            let kept = Set(stride(from: 0, to: burst.blocks.count, by: 100))
            let dead = burst.blocks.indices.filter { !kept.contains($0) }.map { burst.blocks[$0].pointer }
            let touched = burst.touchedOSPages(of: kept)
            onThreads(1) { [addresses = dead.map { UInt(bitPattern: $0) }] _ in
                for address in addresses { Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: address)) }
            }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            let left = residentOSPages() - before
            #expect(left <= touched * 115 / 100 + 40, "\(left) OS pages are resident, \(touched) are touched")
            for index in kept { Malloc.deallocate(burst.blocks[index].pointer) }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// The same without a call of `trim`, where the owner is on hit paths alone: who frees reminds it.
        @Test func whatAnotherThreadFreedGoesBackByItself() {
            Malloc.trim()
            let before = residentOSPages()
            var burst = Burst(seed: 7)
            burst.allocate(60_000)
            let kept = Set(stride(from: 0, to: burst.blocks.count, by: 200))
            let dead = burst.blocks.indices.filter { !kept.contains($0) }
                .map { UInt(bitPattern: burst.blocks[$0].pointer) }
            let touched = burst.touchedOSPages(of: kept)
            func makeFewCalls() {
                for byteCount in stride(from: 16, to: 480, by: 48) as StrideTo<UInt> {
                    Malloc.deallocate(Malloc.allocate(byteCount))
                }
            }
            while Malloc.currentHeap.pointee.watchedCalls > 0 { makeFewCalls() }
            onThreads(1) { _ in
                for address in dead { Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: address)) }
            }
            let start = SystemMemory.milliseconds()
            var left = residentOSPages() - before
            while left > touched * 115 / 100 + 80, SystemMemory.milliseconds() < start + 20_000 {
                makeFewCalls()
                usleep(2000)
                left = residentOSPages() - before
            }
            #expect(left <= touched * 115 / 100 + 80, "\(left) OS pages are resident, \(touched) are touched")
            #expect(Malloc.brokenInvariant() == nil)
            for index in kept { Malloc.deallocate(burst.blocks[index].pointer) }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// With no delay, each slow call gives back what is free: the strictest use of all paths.
        @Test func noDelay() async {
            await #expect(processExitsWith: .success) {
                Malloc.setPurgeDelay(milliseconds: 0)
                var model = Model(seed: 31)
                for step in 0..<4000 {
                    model.step(largest: 3000, around: 1500)
                    if step % 20 == 0, let broken = Malloc.brokenInvariant() {
                        Issue.record("after step \(step): \(broken)")
                        return
                    }
                }
                model.checkOverlap()
                model.freeAll()
                #expect(Malloc.brokenInvariant() == nil)
            }
        }
    }
}
