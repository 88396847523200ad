// The functions that `malloc` and its family come to where blocks are sampled: they decide whether the block is to be
// guarded, and know who called.
//
// Who called is found in the frame record of the function here that the program's call came to by jumps alone: each of
// these is the last thing that its caller does, so that what it returns to is the program. Where that cannot be, as in
// `realloc`, which goes on after it has allocated, the frame is noted beforehand (`SamplerRecord.frame`).

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension Malloc {
    /// Guards one in `rate` blocks from now on; 0 ends it, and what is guarded stays so until it is freed. Call it
    /// while the process has one thread.
    ///
    /// - Returns: false where the kernel has no address space for the pool; then nothing is guarded.
    @discardableResult
    public static func setGuardRate(_ rate: UInt) -> Bool {
        Process.initializeIfNeeded()
        let state = Process.state
        let isPossible = rate == 0 || state.pointee.guardedPool != nil || GuardedPool.create()
        state.pointee.guardRate = isPossible ? min(rate, Layout.largestGuardRate) : 0
        var candidate = state.pointee.heaps
        while let heap = candidate {
            candidate = heap.pointee.nextInRegistry
            if state.pointee.guardRate == 0 {
                heap.endSampling()
            } else if heap.pointee.state == .owned {
                heap.startSampling()
            }
        }
        return isPossible
    }

    // MARK: - malloc, calloc, aligned_alloc

    /// `malloc` of up to 32 KiB. Above 1 KiB, where there are no rations, most calls end here.
    @inline(never)
    static func allocateObserved(_ byteCount: UInt, sizeClass: Int) -> UnsafeMutableRawPointer? {
        if let block = allocateUnrationed(sizeClass) { return block }
        return allocateObservedSlow(byteCount, sizeClass: sizeClass, alignment: byteCount > 8 ? 16 : 8)
    }

    /// The same of a bucket's block.
    @inline(never)
    static func allocateObserved(_ byteCount: UInt, sizeClass: Int, alignment: UInt) -> UnsafeMutableRawPointer? {
        if let block = allocateUnrationed(sizeClass) { return block }
        return allocateObservedSlow(byteCount, sizeClass: sizeClass, alignment: alignment)
    }

    /// A block of a class without rations, which the current page has, and which is not the one to be guarded.
    @inline(__always)
    private static func allocateUnrationed(_ sizeClass: Int) -> UnsafeMutableRawPointer? {
        if SamplerTables.hasRation(sizeClass) { return nil }
        let heap = enter()
        defer { leave() }
        guard heap.isHeap, heap.pointee.watchedCalls == 0, heap.pointee.counters == nil else { return nil }
        guard let sampler = heap.pointee.sampler else { return nil }
        let countdown = sampler.countdown(sizeClass)
        let page = heap.pages(sizeClass).pointee.current
        let block = page.pointee.free
        guard countdown.pointee > 1, block != 0 else { return nil }
        countdown.pointee &-= 1
        return heap.take(block, of: page)
    }

    @inline(never)
    private static func allocateObservedSlow(
        _ byteCount: UInt, sizeClass: Int, alignment: UInt
    ) -> UnsafeMutableRawPointer? {
        observe(byteCount, sizeClass, alignment: alignment, mallow_frame_address())
    }

    /// `aligned_alloc`, whose arguments are in their limits.
    @inline(never)
    static func allocateObserved(_ byteCount: UInt, alignment: UInt) -> UnsafeMutableRawPointer? {
        allocateObserved(byteCount, alignment: alignment, frame: mallow_frame_address())
    }

    @inline(__always)
    private static func allocateObserved(
        _ byteCount: UInt, alignment: UInt, frame: UInt
    ) -> UnsafeMutableRawPointer? {
        guard alignment <= Layout.smallLimit,
            let sizeClass = SizeClasses.sizeClass(for: byteCount, alignment: alignment)
        else {
            return allocateLarge(byteCount, alignment: alignment, isZeroed: false, frame)
        }
        if let block = allocateUnrationed(sizeClass) { return block }
        return observe(byteCount, sizeClass, alignment: max(alignment, 16), frame)
    }

    /// `posix_memalign` that its hit path left: 0, or an error's number, with `errno` and the result as they were.
    @inline(never)
    public static func allocateSlow(
        _ byteCount: UInt, alignment: UInt, into result: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> CInt {
        let savedErrno = mallow_errno()
        let frame = mallow_frame_address()
        let block: UnsafeMutableRawPointer?
        if Process.state.pointee.guardRate == 0 {
            block = allocate(byteCount, alignment: alignment)
        } else if alignment > 16, alignment <= Layout.largestAlignment, byteCount <= UInt(Int.max) {
            // Knows the frame although the thread may have no heap yet, in which it could be noted.
            block = allocateObserved(byteCount, alignment: alignment, frame: frame)
        } else {
            block = noting(frame) { allocate(byteCount, alignment: alignment) }
        }
        guard let block else {
            mallow_set_errno(savedErrno)
            return ENOMEM
        }
        result.pointee = block
        return 0
    }

    /// `malloc` and `calloc` above 32 KiB.
    @inline(never)
    static func allocateLargeObserved(
        _ byteCount: UInt, alignment: UInt, isZeroed: Bool
    ) -> UnsafeMutableRawPointer? {
        allocateLarge(byteCount, alignment: alignment, isZeroed: isZeroed, mallow_frame_address())
    }

    private static func allocateLarge(
        _ byteCount: UInt, alignment: UInt, isZeroed: Bool, _ frame: UInt
    ) -> UnsafeMutableRawPointer? {
        if byteCount > UInt(Int.max) { return outOfMemory() }
        let savedErrno = mallow_errno()
        let guarded = withHeap { heap in
            guard let sampler = heap.pointee.sampler, sampler.count(SamplerTables.large) else { return 0 }
            return sampler.guardBlock(
                byteCount, alignment: max(alignment, 16), sizeClass: SlotRecord.isLarge, isZeroed: isZeroed, frame)
        }
        guard let guarded else {
            mallow_set_errno(savedErrno)
            return allocateOrdinaryLarge(byteCount, alignment: alignment, isZeroed: isZeroed)
        }
        if Process.state.pointee.isCounting {
            Counting.allocatedLarge(requested: byteCount, granted: goodSize(byteCount))
        }
        return guarded
    }

    /// `calloc` of up to 32 KiB that its hit path left.
    @inline(never)
    static func allocateZeroedSlow(_ byteCount: UInt) -> UnsafeMutableRawPointer? {
        if Process.state.pointee.guardRate != 0 { return allocateZeroedObserved(byteCount) }
        guard let block = allocateSlow(byteCount) else { return nil }
        memset(block, 0, Int(bitPattern: byteCount))
        return block
    }

    @inline(never)
    private static func allocateZeroedObserved(_ byteCount: UInt) -> UnsafeMutableRawPointer? {
        let sizeClass = SizeClasses.sizeClass(for: byteCount)
        let block =
            allocateUnrationed(sizeClass)
            ?? observe(byteCount, sizeClass, alignment: byteCount > 8 ? 16 : 8, mallow_frame_address())
        guard let block else { return nil }
        memset(block, 0, Int(bitPattern: byteCount))
        return block
    }

    /// A block of a class, guarded or not; nil when the kernel has no memory.
    private static func observe(
        _ byteCount: UInt, _ sizeClass: Int, alignment: UInt, _ frame: UInt
    ) -> UnsafeMutableRawPointer? {
        if !hasHeap, let block = HeapRegistry.allocateFromNursery(byteCount, sizeClass) { return block }
        return withHeap { heap in
            heap.look(at: sizeClass)
            var block: UInt = 0
            if let sampler = heap.pointee.sampler {
                if sampler.count(sizeClass) {
                    block = sampler.guardBlock(
                        byteCount, alignment: alignment, sizeClass: UInt8(truncatingIfNeeded: sizeClass),
                        isZeroed: false, frame)
                }
                if block == 0 { block = heap.allocateRationed(sampler, sizeClass) }
            } else {
                // There was no memory for one.
                let page = heap.pages(sizeClass).pointee.current
                let free = page.pointee.free
                block = free == 0 ? heap.refillAndAllocate(sizeClass) : UInt(bitPattern: heap.take(free, of: page))
            }
            if block != 0, heap.pointee.counters != nil { heap.count(allocationOf: byteCount, sizeClass) }
            return block
        }
    }

    /// Runs `body` with the thread's heap, which it gets if it has none.
    @inline(__always)
    private static func withHeap(_ body: (Heap) -> UInt) -> UnsafeMutableRawPointer? {
        let heap = enter()
        guard heap.isHeap else {
            leave()
            return HeapRegistry.withHeap(body)
        }
        let block = body(heap)
        leave()
        return block == 0 ? outOfMemory() : rawPointer(block)
    }

    // MARK: - free, realloc, malloc_usable_size

    @inline(never)
    static func deallocateGuarded(_ address: UInt) {
        GuardedPool.deallocate(address, caller: "free", frame: mallow_frame_address())
    }

    @inline(never)
    static func usableSizeOfGuarded(_ address: UInt) -> UInt {
        GuardedPool.liveSlot(address, caller: "malloc_usable_size", frame: mallow_frame_address()).pointee.byteCount
    }

    @inline(never)
    static func reallocateObserved(
        _ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt
    ) -> UnsafeMutableRawPointer? {
        let frame = mallow_frame_address()
        let address = UInt(bitPattern: pointer)
        guard GuardedPool.contains(address) else {
            return noting(frame) { reallocateUnobserved(pointer, byteCount) }
        }
        let slot = GuardedPool.liveSlot(address, caller: "realloc", frame: frame)
        let held = slot.pointee.byteCount
        if byteCount == held, byteCount != 0 { return pointer }
        var target: UnsafeMutableRawPointer?
        if byteCount != 0 {
            target = noting(frame) { allocate(byteCount) }
            guard let target else { return nil }
            memcpy(target, rawPointer(address), Int(bitPattern: min(held, byteCount)))
        }
        GuardedPool.deallocate(address, caller: "realloc", frame: frame)
        return target
    }

    /// Runs `body`, with the blocks that it allocates traced from the frame given. Not where the heap is parked at this
    /// moment: then the trace begins in here.
    @inline(__always)
    private static func noting(
        _ frame: UInt, _ body: () -> UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer? {
        guard hasHeap, let sampler = currentHeap.pointee.sampler else { return body() }
        sampler.pointee.frame = frame
        let block = body()
        sampler.pointee.frame = 0
        return block
    }

    // MARK: - free_sized

    /// Whether a guarded block was asked for with this size; true for what is none.
    @inline(never)
    static func fitsGuarded(_ address: UInt, _ byteCount: UInt) -> Bool {
        guard GuardedPool.contains(address), let slot = GuardedPool.slot(ofBlockAt: address) else { return true }
        return slot.pointee.byteCount == byteCount
    }

    @inline(never)
    static func endForWrongSizeOfGuarded(_ caller: StaticString, _ address: UInt, _ byteCount: UInt) {
        let frame = mallow_frame_address()
        let slot = GuardedPool.liveSlot(address, caller: caller, frame: frame)
        GuardedReport.end(Finding(.wrongSize, address, slot, caller: caller, byteCount: byteCount), frame: frame)
    }
}

extension UnsafeMutablePointer where Pointee == SamplerRecord {
    /// A guarded block, or 0. Notes what it cost, where that is limited.
    fileprivate func guardBlock(
        _ byteCount: UInt, alignment: UInt, sizeClass: UInt8, isZeroed: Bool, _ frame: UInt
    ) -> UInt {
        let isThrifty = Process.state.pointee.guardRate >= SamplerTables.thriftyRate
        let start = isThrifty ? SystemMemory.nanoseconds() : 0
        let block = GuardedPool.allocate(
            byteCount, alignment: alignment, sizeClass: sizeClass, isZeroed: isZeroed,
            frame: pointee.frame == 0 ? frame : pointee.frame)
        if isThrifty {
            let end = SystemMemory.nanoseconds()
            // To free it will cost as much again.
            let cost = 2 &* Swift.min(end &- start, SamplerTables.largestCost)
            pointee.notBefore = end &+ cost &* SamplerTables.thrift
        }
        return block
    }
}
