// Every call to the operating system for memory, and nothing else. One file, so that a reader sees what is asked of the
// kernel, and so that a test can make each call fail (see FaultInjection.swift; the C library is built without it).
//
// Addresses are `UInt`s and 0 stands for failure: this layer hands out numbers, and the layers above give them types.
// Cost: one system call each. All of it is thread-safe. No call here changes `errno` for its caller's caller: the layer
// above saves and restores it where the C standard asks for that.

import CMallowShims

/// The kernel's memory calls, with failure as a value.
public enum SystemMemory {
    /// What may be done with the pages of a new mapping.
    public enum Access {
        case none
        case readWrite
    }

    /// The size of a page of the operating system, in bytes: 4, 16 or 64 KiB. Asked of the kernel, never assumed.
    public static func pageSize() -> UInt {
        UInt(bitPattern: sysconf(CInt(_SC_PAGESIZE)))
    }

    /// Maps fresh, zero-filled, private memory.
    ///
    /// - Parameters:
    ///   - byteCount: a multiple of the page size.
    ///   - address: where the kernel should try to put it, or 0. Never replaces what is mapped there.
    /// - Returns: the address, which may differ from the one wished for, or 0 when the kernel refuses.
    public static func map(byteCount: UInt, at address: UInt = 0, access: Access = .readWrite) -> UInt {
        if injectedFailure(.map) { return 0 }
        let protection = access == .none ? PROT_NONE : PROT_READ | PROT_WRITE
        return result(
            mmap(pointer(address), Int(bitPattern: byteCount), protection, privateAnonymous, -1, 0))
    }

    /// Gives a mapping, or a part of one in whole pages, back to the kernel.
    @discardableResult
    public static func unmap(address: UInt, byteCount: UInt) -> Bool {
        if injectedFailure(.unmap) { return false }
        return munmap(pointer(address), Int(bitPattern: byteCount)) == 0
    }

    /// Drops the contents of whole pages: they read as zero and cost nothing until they are written again.
    @discardableResult
    public static func discard(address: UInt, byteCount: UInt) -> Bool {
        if injectedFailure(.discard) { return false }
        #if os(Linux)
            return madvise(pointer(address), Int(bitPattern: byteCount), MADV_DONTNEED) == 0
        #else
            // Darwin's advice does not zero: a fresh mapping in the same place does.
            return result(
                mmap(
                    pointer(address), Int(bitPattern: byteCount), PROT_READ | PROT_WRITE,
                    privateAnonymous | MAP_FIXED, -1, 0)) != 0
        #endif
    }

    /// Changes what may be done with whole pages of a mapping. Their contents are kept.
    public static func protect(address: UInt, byteCount: UInt, access: Access) -> Bool {
        if injectedFailure(.protect) { return false }
        let protection = access == .none ? PROT_NONE : PROT_READ | PROT_WRITE
        return mprotect(pointer(address), Int(bitPattern: byteCount), protection) == 0
    }

    /// Asks for huge pages behind whole pages of a mapping, where they fit, or for none: a wish, and false where the
    /// kernel has none.
    @discardableResult
    public static func adviseHugePages(_ areWished: Bool = true, address: UInt, byteCount: UInt) -> Bool {
        if injectedFailure(.adviseHugePages) { return false }
        #if os(Linux)
            return madvise(pointer(address), Int(bitPattern: byteCount), areWished ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)
                == 0
        #else
            return false
        #endif
    }

    /// Gives whole pages of anonymous memory a name, which `/proc/self/maps` shows. False where the kernel knows no such
    /// names. Preserves `errno`.
    public static func name(address: UInt, byteCount: UInt, _ name: StaticString) -> Bool {
        if injectedFailure(.name) { return false }
        #if os(Linux)
            let savedErrno = mallow_errno()
            defer { mallow_set_errno(savedErrno) }
            return mallow_name_mapping(pointer(address), Int(bitPattern: byteCount), name.utf8Start) == 0
        #else
            return false
        #endif
    }

    /// Changes the size of a mapping without moving it. False where its neighbours leave no room.
    public static func resizeInPlace(address: UInt, from oldByteCount: UInt, to newByteCount: UInt) -> Bool {
        if injectedFailure(.remap) { return false }
        #if os(Linux)
            return result(
                mallow_mremap(pointer(address), Int(bitPattern: oldByteCount), Int(bitPattern: newByteCount), 0, nil))
                != 0
        #else
            return newByteCount < oldByteCount
                && munmap(pointer(address &+ newByteCount), Int(bitPattern: oldByteCount &- newByteCount)) == 0
        #endif
    }

    /// Moves the pages of a mapping, without copying, over what is mapped at `target`. What was at `address` is then
    /// unmapped. False where the kernel refuses or cannot: the mapping is as it was then, but `target` is in doubt,
    /// since some kernels unmap it before they look further.
    public static func move(
        address: UInt, from oldByteCount: UInt, to newByteCount: UInt, target: UInt
    ) -> Bool {
        if injectedFailure(.remap) { return false }
        #if os(Linux)
            return result(
                mallow_mremap(
                    pointer(address), Int(bitPattern: oldByteCount), Int(bitPattern: newByteCount),
                    CInt(MREMAP_MAYMOVE) | CInt(MREMAP_FIXED), pointer(target))) != 0
        #else
            return false
        #endif
    }

    /// Moves the pages of a part of a mapping over what is mapped at `target`, and leaves fresh, zero-filled memory in
    /// their place: at no moment is there a hole that another thread's mapping could fall into. False, with `target` in
    /// doubt, where the kernel refuses or is older than 5.7.
    public static func movePages(address: UInt, byteCount: UInt, target: UInt) -> Bool {
        if injectedFailure(.remap) { return false }
        #if os(Linux)
            return result(
                mallow_mremap(
                    pointer(address), Int(bitPattern: byteCount), Int(bitPattern: byteCount),
                    CInt(MREMAP_MAYMOVE) | CInt(MREMAP_FIXED) | CInt(MREMAP_DONTUNMAP), pointer(target))) != 0
        #else
            return false
        #endif
    }

    /// After it, every thread of the process has done what came before it in its program, and sees what came before this
    /// call: a fence in all of them. False where the kernel has no such call, or forbids it.
    public static func fenceAllThreads() -> Bool {
        if injectedFailure(.fence) { return false }
        #if os(Linux)
            return mallow_fence_all_threads() == 0
        #else
            return false
        #endif
    }

    /// Milliseconds of a clock that never goes back, as coarse as the kernel's tick: cheap enough for a slow path.
    public static func milliseconds() -> UInt {
        var time = timespec()
        #if os(Linux)
            clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        #else
            clock_gettime(CLOCK_MONOTONIC, &time)
        #endif
        return UInt(bitPattern: time.tv_sec) &* 1000 &+ UInt(bitPattern: time.tv_nsec) / 1_000_000
    }

    /// Nanoseconds of a clock that never goes back: some tens of them to read.
    public static func nanoseconds() -> UInt64 { mallow_nanoseconds() }

    public static func sleep(milliseconds: Int) {
        var time = timespec(tv_sec: 0, tv_nsec: milliseconds &* 1_000_000)
        _ = nanosleep(&time, nil)
    }

    /// Whether eight bytes at an address can be read, whatever is or is not mapped there: a system call.
    public static func isReadable(_ address: UInt) -> Bool { mallow_is_readable(address) != 0 }

    // MARK: - Privates

    private static var privateAnonymous: CInt {
        #if os(Linux)
            return CInt(MAP_PRIVATE) | CInt(MAP_ANONYMOUS) | CInt(MAP_NORESERVE)
        #else
            return CInt(MAP_PRIVATE) | CInt(MAP_ANON)
        #endif
    }

    private static func pointer(_ address: UInt) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: address)
    }

    private static func result(_ mapped: UnsafeMutableRawPointer?) -> UInt {
        let address = UInt(bitPattern: mapped)
        return address == UInt(bitPattern: mallow_map_failed()) ? 0 : address
    }

    @inline(__always)
    private static func injectedFailure(_ call: Call) -> Bool {
        #if hasFeature(Embedded)
            return false
        #else
            return FaultInjection.shouldFail(call)
        #endif
    }
}

/// The calls that can be made to fail.
public enum Call: Int, Sendable {
    case map, unmap, discard, remap, protect, adviseHugePages, fence, name
    // Those of SystemFile.
    case openFile, fileStatus, lockFile, readFile, writeFile, truncateFile, allocateFile, punchHole, mapFile
    case synchronizeFile, synchronizeFolder
    // Those of SystemDescriptor.
    case readDescriptor, writeDescriptor, waitForDescriptor
}
