// Memory under a pool of buddies: blocks of powers of two, shared by the allocators of all threads.
//
//     base                base + buddySize
//     |      buddy 0      |      buddy 1      |   …   | limit - 1 |      one range of addresses, reserved at the start
//       read and write      inaccessible until the pool adds it
//
// M1. `base` is a multiple of `buddySize`, so that a block is aligned to its own size.
// M2. A buddy's memory can be read and written from the moment at which the pool adds it until it drops it.
//
// Cost: BuddyPool's, which is a lock and a few instructions; system calls where a buddy comes or goes. Thread-safe.

public import AllocatorCore
public import RangeAllocators
import Synchronization
internal import SystemMemory

/// Large blocks of powers of two out of one range of addresses, for several threads: what children are made of where
/// many allocators share their memory.
///
/// A child that one allocator gives back is another's next one, without a system call. The memory behind a buddy goes
/// back to the system when all of its blocks are free, except for one buddy. For small blocks it is wasteful: each
/// takes ``smallestBlock`` or more.
///
/// Every block is aligned to its size, up to the size of a buddy; a request that is larger is refused. A double free, a
/// pointer into a block and a foreign pointer trap. Thread-safe.
public final class SharedBuddyMemory: @unchecked Sendable {
    /// The offsets of the blocks.
    public let pool: BuddyPool
    /// The most bytes that can be handed out.
    public let capacity: Int
    /// The bytes of a buddy: the largest block.
    public var buddySize: Int { pool.buddySize }
    /// The bytes of the smallest block.
    public var smallestBlock: Int { pool.smallestBlock }

    private let base: UInt
    private let mapping: PageMapping
    private let liveBlocks = Atomic<Int>(0)
    private let liveBytes = Atomic<Int>(0)

    /// Reserves addresses; memory comes with the first block.
    ///
    /// - Parameters:
    ///   - capacity: the most bytes to hand out: a multiple of `buddySize`.
    ///   - buddySize: bytes of each buddy: a power of two.
    ///   - smallestBlock: bytes of the smallest block: a power of two from the size of a page to `buddySize`.
    ///   - hugePages: whether to ask for huge pages.
    /// - Throws: `ConfigurationError`, also where the system has not so many addresses.
    public init(
        capacity: Int = 4 << 30, buddySize: Int = 64 << 20, smallestBlock: Int = 64 << 10, hugePages: Bool = true
    ) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(
                allocator: "SharedBuddyMemory", argument: argument, value: value, requirement: requirement)
        }
        let page = SystemMemory.pageSize()
        guard isPowerOfTwo(smallestBlock), smallestBlock >= Int(bitPattern: page) else {
            throw wrong("smallestBlock", smallestBlock, "a power of two, and at least a page (\(page))")
        }
        guard isPowerOfTwo(buddySize), buddySize >= smallestBlock, buddySize <= 1 << 44 else {
            throw wrong("buddySize", buddySize, "a power of two from smallestBlock (\(smallestBlock)) to 2^44")
        }
        guard capacity > 0, capacity % buddySize == 0, capacity <= 1 << 46 else {
            throw wrong("capacity", capacity, "a multiple of buddySize (\(buddySize)) up to 2^46, and not 0")
        }
        // Inaccessible, so that it counts for nothing.
        let size = UInt(bitPattern: buddySize)
        let reserved = UInt(bitPattern: capacity) + size
        let address = SystemMemory.map(byteCount: reserved, access: .none)
        guard address != 0 else { throw wrong("capacity", capacity, "less: the system has not so many addresses") }
        mapping = PageMapping(address: address, byteCount: reserved)
        let base = (address + size - 1) & ~(size - 1)
        self.base = base
        self.capacity = capacity
        do throws(BuddyError) {
            pool = try BuddyPool(
                buddySize: buddySize, smallestBlock: smallestBlock, limit: capacity / buddySize,
                onAdd: { number in
                    let address = base + UInt(number) * size
                    guard SystemMemory.protect(address: address, byteCount: size, access: .readWrite) else {
                        return false
                    }
                    if hugePages { SystemMemory.adviseHugePages(address: address, byteCount: size) }
                    return true
                },
                onDrop: { number in
                    let address = base + UInt(number) * size
                    SystemMemory.discard(address: address, byteCount: size)
                    _ = SystemMemory.protect(address: address, byteCount: size, access: .none)
                })
        } catch {
            fatalError("SharedBuddyMemory: \(error)")
        }
    }

    deinit { _ = mapping.unmap() }

    /// Gives the memory of buddies back to the system of which all is free.
    ///
    /// - Returns: how many bytes of addresses that were.
    @discardableResult
    public func trim() -> Int { pool.trim() * buddySize }

    private func place(_ pointer: UnsafeRawPointer) -> (offset: Int, buddy: Int)? {
        let offset = UInt(bitPattern: pointer) &- base
        guard offset < UInt(bitPattern: capacity) else { return nil }
        return (Int(bitPattern: offset) & (buddySize - 1), Int(bitPattern: offset) / buddySize)
    }
}

extension SharedBuddyMemory: OwningAllocator, SizeReportingAllocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("SharedBuddyMemory", byteCount: byteCount, alignment: alignment),
            max(byteCount, alignment) <= buddySize,
            let block = pool.tryAllocate(max(byteCount, alignment))
        else { return nil }
        liveBlocks.wrappingAdd(1, ordering: .relaxed)
        liveBytes.wrappingAdd(block.range.count, ordering: .relaxed)
        let address = base + UInt(bitPattern: block.buddy * buddySize + block.range.lowerBound)
        return UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: address), count: block.range.count)
    }

    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "SharedBuddyMemory", byteCount: byteCount, alignment: alignment, largest: buddySize,
                largestAlignment: buddySize)
        }
        return block
    }

    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        // The size is asked first: the block may be another's as soon as it is free.
        guard let place = place(pointer), let size = pool.blockSize(at: place.offset, inBuddy: place.buddy) else {
            misuse("SharedBuddyMemory", pointer, "is no block of this memory, or was freed already")
        }
        liveBlocks.wrappingSubtract(1, ordering: .relaxed)
        liveBytes.wrappingSubtract(size, ordering: .relaxed)
        do throws(BuddyError) { try pool.deallocate(place.offset, inBuddy: place.buddy) } catch {
            misuse("SharedBuddyMemory", pointer, "was freed by two threads at once")
        }
    }

    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        guard let place = place(pointer), let size = pool.blockSize(at: place.offset, inBuddy: place.buddy) else {
            misuse("SharedBuddyMemory", pointer, "is no block of this memory")
        }
        return size
    }

    /// Whether the address is in the range that was reserved.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { place(pointer) != nil }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        guard byteCount <= buddySize, alignment <= buddySize else { return byteCount }
        let needed = max(byteCount, alignment, smallestBlock)
        return 1 << (Int.bitWidth - (needed - 1).leadingZeroBitCount)
    }

    public func findLeaks() -> LeakError? {
        let blocks = liveBlocks.load(ordering: .relaxed)
        guard blocks > 0 else { return nil }
        return LeakError(allocator: "SharedBuddyMemory", blocks: blocks, bytes: liveBytes.load(ordering: .relaxed))
    }

    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        trim()
    }
}
