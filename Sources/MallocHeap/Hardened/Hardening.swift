// The hardened malloc, chosen at run time (`MALLOW_HARDENED`): every block is checked when it comes back, and what a
// program must not do with it is found for certain, or with a probability that Documentation/Hardening.md states.
//
// How it is reached: in hardened mode no thread has a heap. So the hit paths find no block and no page of their own,
// and every call comes to a slow path, which leads here. Where the mode is off, the hit paths are what they always
// were.
//
// How it is built: nothing about a block lies in it or beside it. A page of blocks has a side table, in memory of its
// own, which says of each block whether it is live, quarantined or free, and how many bytes were asked for. There are
// no free lists to corrupt. Behind a live block, up to where the next begins, lies its canary; a block that is free is
// full of poison.
//
//   one page:   | block 0 …| canary | poison (free)  | block 2 ……| canary | … | guard page |
//   side table: | live, 24 |        | freed, was 31  | live, 40  |        | …
//
// Pages belong to shards, each with a lock; a thread allocates from the shard that its identity leads to, and a block
// is freed in the shard that its page is of. Blocks of more than 32 KiB are runs or mappings of their own, between
// guard pages: see HardenedLarge.swift.
//
// Blocks that were handed out before the mode was chosen stay ordinary ones: a block's page says which it is.
//
// Thread-safety: each file says which lock it works under. Lock order: registry, shards by their number, large blocks,
// pool. No lock is held while a finding is reported.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

enum Hardened {
    /// What a level turns on. Each includes those below it.
    enum Level {
        /// States out of line, canaries, poison, sizes.
        static let checks: UInt32 = 1
        /// Quarantine, random placement, guard pages, a look at every block when the program ends.
        static let full: UInt32 = 2
    }

    static let shardCount: UInt = 8
    /// Bytes behind a block that are always its canary's.
    static let leastCanary: UInt = 8
    /// What is asked for with a smaller alignment is aligned so anyway, and its alignment is not remembered.
    static let naturalAlignment: UInt = 16
    /// The kernel allows a process 65,530 mappings unless told otherwise; each guard page makes up to two more of them.
    /// Beyond half of that no more are made.
    private static let mappingLimit: UInt = 32_000

    @inline(__always)
    static var level: UInt32 { Process.state.pointee.hardening }

    @inline(__always)
    static var isOn: Bool { Process.state.pointee.hardening != 0 }

    @inline(__always)
    static var isFull: Bool { Process.state.pointee.hardening >= Level.full }

    /// The state that all shards share. Only while `isOn`.
    @inline(__always)
    static var shared: UnsafeMutablePointer<HardenedRecord> {
        UnsafeMutablePointer<HardenedRecord>(at: Process.state.pointee.hardenedAddress &+ HardenedRecord.offset)
    }

    // MARK: - Turning it on

    /// See `Malloc.startHardening`. False where there is no memory for it.
    static func enable(level: UInt32) -> Bool {
        Process.initializeIfNeeded()
        let state = Process.state
        if state.pointee.hardening != 0 { return true }
        let shards = mapMetadata(
            byteCount: HardenedRecord.byteCount &+ shardCount &* ShardRecord.byteCount,
            isGuarded: level >= Level.full)
        guard shards != 0 else { return false }
        state.pointee.hardenedAddress = shards
        var random = Process.randomWord()
        shared.pointee.canaryKey = mixed(random ^ 0x6a09_e667_f3bc_c908)
        shared.pointee.poisonKey = mixed(random ^ 0xbb67_ae85_84ca_a73b)
        for index in 0..<shardCount {
            random = random &+ 0x9e37_79b9_7f4a_7c15
            Shard.at(index).pointee.random = mixed(random) | 1
        }
        state.pointee.hardening = level
        HeapRegistry.leaveHeap()
        return true
    }

    /// SplitMix64's finaliser (Steele, Lea, Flood 2014).
    static func mixed(_ word: UInt) -> UInt {
        var mixed = word
        mixed = (mixed ^ (mixed &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed &>> 31)
    }

    // MARK: - Memory

    /// Memory for what describes blocks, never given back: zero-filled, with a guard page at both ends. 0 where the
    /// kernel refuses. Takes the pool's lock.
    static func mapMetadata(byteCount: UInt, isGuarded: Bool) -> UInt {
        let osPage = Process.state.pointee.osPageByteCount
        let inside = Layout.roundedUp(byteCount, toMultipleOf: osPage)
        let address = SystemMemory.map(byteCount: inside &+ 2 &* osPage)
        guard address != 0 else { return 0 }
        if isGuarded {
            _ = SystemMemory.protect(address: address, byteCount: osPage, access: .none)
            _ = SystemMemory.protect(address: address &+ osPage &+ inside, byteCount: osPage, access: .none)
        }
        Process.poolLock.acquire()
        Process.poolPointer.pointee.mappedBytes &+= inside &+ 2 &* osPage
        Process.poolPointer.pointee.metadataBytes &+= inside
        Process.poolLock.release()
        return address &+ osPage
    }

    /// Whether guard pages that make so many mappings more are to be had: then they count as made.
    static func takeGuards(_ mappings: UInt) -> Bool {
        // On OS pages of 64 KiB a guard would be as large as the page of blocks.
        guard isFull, Process.state.pointee.osPageByteCount <= Layout.sliceByteCount / 4 else { return false }
        if shared.pointee.guards.wrappingAdd(mappings, ordering: .relaxed).newValue <= mappingLimit { return true }
        giveGuards(mappings)
        return false
    }

    static func giveGuards(_ mappings: UInt) {
        shared.pointee.guards.wrappingSubtract(mappings, ordering: .relaxed)
    }

    // MARK: - fork

    /// Before a fork, between the registry's lock and the pool's.
    static func acquireLocks() {
        guard isOn else { return }
        for index in 0..<shardCount { Shard.at(index).lock.acquire() }
        HardenedRecord.lock.acquire()
    }

    static func releaseLocks() {
        guard isOn else { return }
        HardenedRecord.lock.release()
        for index in 0..<shardCount { Shard.at(index).lock.release() }
    }

    /// In the child. The locks were held: what they guard is whole.
    static func resetLocks() {
        guard isOn else { return }
        HardenedRecord.lock.reset()
        for index in 0..<shardCount { Shard.at(index).lock.reset() }
    }
}

/// What is not a shard's: constants, and the quarantine of large blocks.
///
///   +0  the lock of large blocks     +128  HardenedRecord     +512  the quarantine: addresses of records
struct HardenedRecord: ~Copyable {
    static let offset: UInt = 128
    static let quarantineOffset: UInt = 512
    static let quarantineCapacity: UInt = 256
    static let quarantineByteLimit: UInt = 128 << 20
    static let byteCount: UInt = 4096

    /// The thread sanitizer takes a change of any field for one of the first word: so nothing lies there.
    private var unused: UInt
    /// What canaries are made of, and poison.
    var canaryKey: UInt
    var poisonKey: UInt
    /// Mappings that guard pages have made.
    let guards: Atomic<UInt>
    // Guarded by the lock of large blocks.
    var oldest: UInt
    var quarantinedCount: UInt
    var quarantinedBytes: UInt

    static var lock: UnsafeMutablePointer<Lock> {
        UnsafeMutablePointer<Lock>(at: Process.state.pointee.hardenedAddress)
    }
}

extension Malloc {
    /// Has every block be checked from now on: see `Documentation/Hardening.md`. Call it before the program starts
    /// threads; a thread that has allocated already stays as it is, and so do the blocks that live.
    ///
    /// - Parameter level: 1 for checks alone; 2 for quarantine, random placement and guard pages too. 0 does nothing.
    /// - Returns: false where there is no memory for it.
    @discardableResult
    public static func startHardening(level: UInt) -> Bool {
        level == 0 || Hardened.enable(level: UInt32(truncatingIfNeeded: min(level, UInt(Hardened.Level.full))))
    }

    /// 0 where blocks are not checked. O(1).
    public static var hardeningLevel: UInt { UInt(Process.state.pointee.hardening) }
}
