// Which of a heap's blocks are guarded: about one in N, at random, without a word on the hit path.
//
// Each class has a countdown of the allocations up to the one that is guarded; they are drawn from 1 to 2N-1. To count
// allocations that hit paths make, a heap that samples gives them *rations*: its direct table leads not to the current
// pages but to records of its own, each with a list of blocks taken off the current page's, never more of them than the
// countdown allows. `malloc` takes these by the same instructions. Frees go to the page, where the block belongs. So a
// ration runs out, however few blocks the program holds at a time; then `malloc` comes to the slow path, which takes
// off what was used, grants the next ration or guards the block. The slow path is taken once in a page's list of free
// blocks, an OS page's worth or more; the hit path stays as it is.
//
// Blocks of a ration count as used on their pages. They go back when the heap loses its thread, or is trimmed.
//
// Above 1 KiB each call takes the slow path anyway, and is counted there, as are those of buckets whose class was
// added; runs and mappings share a countdown.
//
// From a rate of `thriftyRate` on, a thread spends no more than a fortieth of its time on guarding blocks: what a block
// costs is measured, and the next one is guarded no earlier than forty times that later. A program that allocates all
// the time has fewer blocks guarded than one in N, and stays as fast.
//
//   in memory:  random | not before | interval | countdowns by class | rations by class, 128 bytes each
//
// Invariant: R1  a ration's list has `capacity` - `used` blocks, all of the heap's pages of that class.
//
// Cost: 6 KiB a thread, when there is a rate. Thread-safety: the heap's owner.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

struct SamplerRecord: ~Copyable {
    var random: UInt64
    /// When the next block may be guarded, in nanoseconds.
    var notBefore: UInt64
    /// Of a caller who comes by another way than `malloc`: the frame record; otherwise 0.
    var frame: UInt
}

typealias Sampler = UnsafeMutablePointer<SamplerRecord>

enum SamplerTables {
    static let countdownsOffset: UInt = 64
    /// The classes, and one for all above.
    static let countdownCount = BucketClasses.numberEnd + 1
    static let large = BucketClasses.numberEnd
    static let rationsOffset = Layout.roundedUp(
        countdownsOffset + UInt(countdownCount) * 8, toMultipleOf: Layout.recordByteCount)
    static let rationCount = SizeClasses.sizeClass(for: Layout.directLimit) + 1
    static let byteCount = rationsOffset + UInt(rationCount) * Layout.recordByteCount
    /// Classes of more than 1 KiB, and those that buckets added, have none.
    @inline(__always)
    static func hasRation(_ sizeClass: Int) -> Bool { sizeClass < rationCount }

    static let thriftyRate: UInt = 1000
    static let thrift: UInt64 = 40
    /// No block is believed to have cost more, in nanoseconds: the thread was interrupted.
    static let largestCost: UInt64 = 50_000
}

extension UnsafeMutablePointer where Pointee == SamplerRecord {
    @inline(__always)
    func countdown(_ sizeClass: Int) -> UnsafeMutablePointer<Int> {
        UnsafeMutablePointer<Int>(
            at: address &+ SamplerTables.countdownsOffset &+ UInt(bitPattern: sizeClass) &* 8)
    }

    @inline(__always)
    func ration(_ sizeClass: Int) -> Page {
        Page(at: address &+ SamplerTables.rationsOffset &+ UInt(bitPattern: sizeClass) &* Layout.recordByteCount)
    }

    private func randomNumber(below limit: UInt) -> UInt {
        pointee.random = GuardedPool.nextRandom(pointee.random)
        return UInt(pointee.random &>> 1) % limit
    }

    /// Sets all countdowns anew. The first of each is the rest of one that somebody looks in on: the smaller of two.
    func start(random: UInt64) {
        pointee.random = random | 1
        let spread = 2 &* Process.state.pointee.guardRate &- 1
        for sizeClass in 0..<SamplerTables.countdownCount {
            let first = Swift.min(randomNumber(below: spread), randomNumber(below: spread))
            countdown(sizeClass).pointee = Int(bitPattern: 1 &+ first)
        }
        for sizeClass in 0..<SamplerTables.rationCount {
            ration(sizeClass).pointee.blockByteCount = SizeClasses.byteCount(of: sizeClass)
        }
    }

    /// Counts a call that came to the slow path, and those before it that did not. True if its block is to be guarded.
    func count(_ sizeClass: Int) -> Bool {
        var calls = 1
        if SamplerTables.hasRation(sizeClass) {
            let ration = ration(sizeClass)
            calls &+= Int(ration.pointee.used &- ration.pointee.carved)
            // What was taken off the countdown already.
            ration.pointee.carved = ration.pointee.used
        }
        countdown(sizeClass).pointee &-= calls
        if countdown(sizeClass).pointee > 0 { return false }
        let rate = Process.state.pointee.guardRate
        countdown(sizeClass).pointee = Int(bitPattern: 1 &+ randomNumber(below: 2 &* rate &- 1))
        return rate < SamplerTables.thriftyRate || SystemMemory.nanoseconds() >= pointee.notBefore
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Gives the heap a sampler, or starts the one it has anew. Without memory for one it has none. The heap is in no
    /// other thread's hands.
    func startSampling() {
        let random: UInt64
        if let sampler = pointee.sampler {
            if pointee.counters == nil { returnRations() }
            random = sampler.pointee.random
        } else {
            Process.poolLock.acquire()
            let memory = Process.metadata(byteCount: SamplerTables.byteCount)
            Process.poolLock.release()
            guard let sampler = Sampler(bitPattern: memory) else { return }
            pointee.sampler = sampler
            random = UInt64(pointee.linkKey ^ address)
        }
        pointee.sampler?.start(random: random)
        pointee.observesCalls = 1
        for sizeClass in 0..<classEnd { setDirectEntries(sizeClass, to: pages(sizeClass).pointee.current) }
    }

    func endSampling() {
        guard pointee.sampler != nil else { return }
        returnRations()
        pointee.sampler = nil
        pointee.observesCalls = pointee.counters == nil ? 0 : 1
        for sizeClass in 0..<classEnd { setDirectEntries(sizeClass, to: pages(sizeClass).pointee.current) }
    }

    /// Where hit paths find blocks of a class whose current page this is.
    @inline(__always)
    func hitPage(_ sizeClass: Int, _ page: Page) -> Page {
        if pointee.observesCalls == 0 { return page }
        guard pointee.counters == nil, let sampler = pointee.sampler, SamplerTables.hasRation(sizeClass) else {
            return Page.none
        }
        return sampler.ration(sizeClass)
    }

    /// A block that is not guarded: of the ration, or of the current page, and then with the next ration. 0 when the
    /// kernel has no memory.
    func allocateRationed(_ sampler: Sampler, _ sizeClass: Int) -> UInt {
        let hasRation = SamplerTables.hasRation(sizeClass) && pointee.counters == nil
        if hasRation {
            let ration = sampler.ration(sizeClass)
            if ration.pointee.free != 0 {
                let block = take(ration.pointee.free, of: ration)
                ration.pointee.carved = ration.pointee.used
                return UInt(bitPattern: block)
            }
        }
        let page = pages(sizeClass).pointee.current
        let free = page.pointee.free
        let block = free == 0 ? refillAndAllocate(sizeClass) : UInt(bitPattern: take(free, of: page))
        if hasRation, block != 0 { grantRation(sampler, sizeClass) }
        return block
    }

    /// Where a list must be cut, so many blocks are granted at a time.
    private static var cutLimit: Int { 256 }

    /// Moves blocks of the current page's list to the ration, which is empty: all, or as many as come before the one
    /// that is to be guarded. O(1), or O(blocks) where the list must be cut.
    private func grantRation(_ sampler: Sampler, _ sizeClass: Int) {
        let page = pages(sizeClass).pointee.current
        let limit = sampler.countdown(sizeClass).pointee &- 1
        guard page.pointee.free != 0, limit > 0 else { return }
        pointee.isBusy = true
        let first = page.pointee.free
        var count = page.pointee.hollow == 0 ? page.listedBlocks : .max
        if UInt(count) <= UInt(bitPattern: limit) {
            page.pointee.free = 0
        } else {
            let rest: UInt
            (count, rest) = page.cut(after: min(limit, Self.cutLimit), key: pointee.linkKey)
            page.pointee.free = rest
        }
        page.pointee.used &+= count
        let ration = sampler.ration(sizeClass)
        ration.pointee.capacity = count
        ration.pointee.used = 0
        ration.pointee.carved = 0
        ration.pointee.free = first
        pointee.isBusy = false
    }

    /// Gives the blocks of all rations back to their pages. The owner calls it, or who holds a heap without one.
    func returnRations() {
        guard let sampler = pointee.sampler else { return }
        for sizeClass in 0..<SamplerTables.rationCount {
            let ration = sampler.ration(sizeClass)
            var block = ration.pointee.free
            ration.pointee.free = 0
            ration.pointee.capacity = ration.pointee.used
            while block != 0 {
                let next = loadWord(block) ^ pointee.linkKey
                let page = Page(at: recordAddress(entry: segmentMapEntry(block), of: block))
                storeWord(block, page.pointee.free ^ pointee.linkKey)
                page.pointee.free = block
                page.pointee.used &-= 1
                if page.pointee.used == 0 {
                    if page.pointee.reserve == 0 { giveBack(page) } else { becameSparse(page) }
                }
                block = next
            }
        }
    }

    /// Blocks of a class that lie in the heap's ration: they count as used on their pages.
    func rationedBlocks(_ sizeClass: Int) -> UInt {
        guard let sampler = pointee.sampler, SamplerTables.hasRation(sizeClass) else { return 0 }
        let ration = sampler.ration(sizeClass)
        return UInt(ration.pointee.capacity &- ration.pointee.used)
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// How many blocks the page's list has, by I1. The page has no hollow OS pages. O(1).
    fileprivate var listedBlocks: UInt32 {
        pointee.carved &- (pointee.used &+ UInt32(pointee.reserve) &- (pointee.isCurrent ? 1 : 0))
    }

    /// Ends the page's list behind its first blocks: how many these are, at most `limit`, and the rest of the list.
    fileprivate func cut(after limit: Int, key: UInt) -> (count: UInt32, rest: UInt) {
        var last = pointee.free
        var count: UInt32 = 1
        while true {
            let next = loadWord(last) ^ key
            if next == 0 || Int(count) == limit {
                storeWord(last, key)
                return (count, next)
            }
            // A link that leads out of the page was overwritten by the program after it freed the block.
            if next &>> Layout.sliceShift != last &>> Layout.sliceShift { Misuse.corruptedLink(last) }
            last = next
            count &+= 1
        }
    }
}
