// An allocator over malloc with every capability, right in all but the one defect that it is given.

import AllocatorCore

enum Defect: Equatable, Sendable {
    case none
    case overlappingBlocks, wideBlocks, misaligned, shortCount, losesContents, thirdBlockShort
    case zeroBytesThrow, zeroBytesWithoutAddress, zeroBytesShareAnAddress
    case servesHugeSizes, servesAnyAlignment, blamesMemoryForAlignment, refusalKeepsMemory, refusalCounts
    case refusalWrites, tryAllocateRefuses, refusesAfterUse, refusesAfterClose, refusesEverything
    case statistics(Field)
    case goodSizeBelow, goodSizeAbove, sizeBelow, sizeChanges
    case ownsAll, ownsNone, ownsNotThird, hookDisagrees, freesNotByOwner
    case resizeLosesContents, resizeMoves, resizeShort, resizeDeclinedWrites, resizeNotCounted
    case freeAllForgets
    case leaksUnreported, leaksMiscounted, leaksOfNothing
    case closeFrees, closeIsSilent, closeMiscounts, closeThrowsWhenEmpty, closeKeepsMemory

    enum Field: CaseIterable, Sendable {
        case liveBlocks, liveBytes, peakBlocks, peakBytes, totalBlocks, totalBytes, heldBytes, overheadBytes

        var path: WritableKeyPath<AllocatorStatistics, Int> {
            switch self {
            case .liveBlocks: \.liveBlocks
            case .liveBytes: \.liveBytes
            case .peakBlocks: \.peakBlocks
            case .peakBytes: \.peakBytes
            case .totalBlocks: \.totalBlocks
            case .totalBytes: \.totalBytes
            case .heldBytes: \.heldBytes
            case .overheadBytes: \.overheadBytes
            }
        }
    }
}

final class DefectiveAllocator {
    struct Block {
        var count: Int
        var capacity: Int
        var number: Int
    }

    let defect: Defect
    private var blocks: [UnsafeMutableRawPointer: Block] = [:]
    /// All memory taken from malloc, which is only freed at the end: what is wrong stays harmless.
    private var memory: [UnsafeMutableRawPointer] = []
    private var account = AllocatorStatistics()
    private var extraHeld = 0
    private var wasClosed = false

    init(_ defect: Defect) { self.defect = defect }

    deinit {
        for block in memory { block.deallocate() }
    }

    private var oldest: (key: UnsafeMutableRawPointer, value: Block)? {
        blocks.min { $0.value.number < $1.value.number }
    }
}

extension DefectiveAllocator: Allocator {
    func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        defect == .tryAllocateRefuses ? nil : block(byteCount, alignment)
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = block(byteCount, alignment) else {
            throw AllocationError(
                allocator: "DefectiveAllocator", byteCount: byteCount, alignment: alignment,
                reason: isPowerOfTwo(alignment) || defect == .blamesMemoryForAlignment
                    ? .outOfMemory : .invalidAlignment)
        }
        return block
    }

    private func isPowerOfTwo(_ value: Int) -> Bool { value > 0 && value & (value - 1) == 0 }

    private func block(_ byteCount: Int, _ alignment: Int) -> UnsafeMutableRawBufferPointer? {
        var byteCount = byteCount
        var alignment = alignment
        if defect == .servesHugeSizes, byteCount == Int.max - 15 { byteCount = 16 }
        if defect == .servesAnyAlignment, alignment == 12 { alignment = 16 }
        guard isPowerOfTwo(alignment), alignment <= 1 << 20, byteCount <= 1 << 30, !refuses(byteCount) else {
            if defect == .refusalKeepsMemory { extraHeld += 16 }
            if defect == .refusalCounts { account.totalBlocks += 1 }
            if defect == .refusalWrites, let oldest, oldest.value.count > 0 {
                oldest.key.storeBytes(of: ~oldest.key.load(as: UInt8.self), as: UInt8.self)
            }
            return nil
        }
        if byteCount == 0, defect == .zeroBytesWithoutAddress {
            return UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        if byteCount == 0, defect == .zeroBytesShareAnAddress, let same = blocks.first(where: { $0.value.count == 0 }) {
            return UnsafeMutableRawBufferPointer(start: same.key, count: 0)
        }
        if defect == .overlappingBlocks, blocks.count == 5, let oldest, oldest.value.count >= byteCount {
            return UnsafeMutableRawBufferPointer(start: oldest.key, count: byteCount)
        }
        let capacity = 2 * max(byteCount, 16)
        var base = UnsafeMutableRawPointer.allocate(byteCount: capacity + 32, alignment: max(alignment, 16))
        memory.append(base)
        if defect == .misaligned, alignment >= 64 { base += 16 }
        var count = byteCount
        if defect == .shortCount, byteCount > 100 { count -= 1 }
        if defect == .thirdBlockShort, blocks.count == 2, count > 0 { count -= 1 }
        blocks[base] = Block(count: count, capacity: capacity, number: account.totalBlocks)
        account.liveBlocks += 1
        account.liveBytes += count
        account.totalBlocks += 1
        account.totalBytes += count
        account.peakBlocks = max(account.peakBlocks, account.liveBlocks)
        account.peakBytes = max(account.peakBytes, account.liveBytes)
        account.heldBytes += capacity
        return UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    private func refuses(_ byteCount: Int) -> Bool {
        switch defect {
        case .zeroBytesThrow: byteCount == 0
        case .refusesAfterUse: account.totalBlocks >= 40
        case .refusesAfterClose: wasClosed
        case .refusesEverything: true
        default: false
        }
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let block = blocks.removeValue(forKey: pointer)!
        account.liveBlocks -= 1
        account.liveBytes -= block.count
        account.heldBytes -= block.capacity
        if defect == .losesContents, let oldest, oldest.value.count > 0 {
            let last = oldest.key + (oldest.value.count - 1)
            last.storeBytes(of: ~last.load(as: UInt8.self), as: UInt8.self)
        }
    }

    func goodSize(for byteCount: Int, alignment: Int) -> Int {
        switch defect {
        case .goodSizeBelow: max(byteCount - 1, 0)
        case .goodSizeAbove: byteCount + 8
        default: byteCount
        }
    }

    func findLeaks() -> LeakError? {
        var (count, bytes) = (account.liveBlocks, account.liveBytes)
        if defect == .leaksUnreported, count == 1 { return nil }
        if defect == .leaksMiscounted, count > 2 { bytes += 1 }
        if defect == .leaksOfNothing, wasClosed, count == 0 { count = 1 }
        return count == 0 ? nil : LeakError(allocator: "DefectiveAllocator", blocks: count, bytes: bytes)
    }

    func close() throws(LeakError) {
        wasClosed = true
        if defect == .closeThrowsWhenEmpty { throw LeakError(allocator: "DefectiveAllocator", blocks: 1, bytes: 1) }
        if defect == .closeKeepsMemory { extraHeld += 4096 }
        if defect == .closeIsSilent { return }
        guard var leak = findLeaks() else { return }
        if defect == .closeMiscounts { leak.blocks += 1 }
        if defect == .closeFrees {
            for (base, block) in blocks { base.initializeMemory(as: UInt8.self, repeating: 0, count: block.count) }
        }
        throw leak
    }

    func _owns(_ pointer: UnsafeRawPointer) -> Bool {
        defect == .hookDisagrees ? blocks.count > 3 || owns(pointer) : owns(pointer)
    }

    func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        guard owns(pointer), defect != .freesNotByOwner else { return false }
        deallocate(pointer)
        return true
    }
}

extension DefectiveAllocator: OwningAllocator, SizeReportingAllocator, ResettableAllocator, ResizableAllocator {
    func owns(_ pointer: UnsafeRawPointer) -> Bool {
        let block = blocks[UnsafeMutableRawPointer(mutating: pointer)]
        switch defect {
        case .ownsAll: return UInt(bitPattern: pointer) > 4096
        case .ownsNone: return false
        case .ownsNotThird: return block.map { $0.number != 2 } ?? false
        default: return block != nil
        }
    }

    func byteCount(of pointer: UnsafeRawPointer) -> Int {
        let count = blocks[UnsafeMutableRawPointer(mutating: pointer)]!.count
        switch defect {
        case .sizeBelow: return max(count - 1, 0)
        case .sizeChanges: return count + (blocks.count > 4 ? 8 : 0)
        default: return count
        }
    }

    func freeAll() {
        let kept = defect == .freeAllForgets ? oldest : nil
        for pointer in Array(blocks.keys) where pointer != kept?.key { deallocate(pointer) }
    }

    func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        let block = blocks[pointer]!
        guard byteCount <= block.capacity else {
            if defect == .resizeDeclinedWrites, block.count > 0 {
                pointer.storeBytes(of: ~pointer.load(as: UInt8.self), as: UInt8.self)
            }
            return nil
        }
        if defect == .resizeLosesContents, block.count > 0, byteCount > 0 {
            pointer.storeBytes(of: ~pointer.load(as: UInt8.self), as: UInt8.self)
        }
        if defect != .resizeNotCounted {
            account.liveBytes += byteCount - block.count
            account.peakBytes = max(account.peakBytes, account.liveBytes)
        }
        blocks[pointer]!.count = byteCount
        return UnsafeMutableRawBufferPointer(
            start: defect == .resizeMoves ? pointer + 8 : pointer,
            count: defect == .resizeShort ? max(byteCount - 1, 0) : byteCount)
    }
}

extension DefectiveAllocator: MeasuredAllocator {
    var statistics: AllocatorStatistics {
        var account = account
        account.heldBytes += extraHeld
        if case .statistics(let field) = defect, account.totalBlocks >= 3 {
            switch field {
            case .heldBytes: account.heldBytes = account.liveBytes - 1
            case .overheadBytes: account.overheadBytes = -1
            default: account[keyPath: field.path] += 1
            }
        }
        return account
    }
}
