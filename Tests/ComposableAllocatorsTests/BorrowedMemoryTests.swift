// The checked mode: memory that was borrowed and is used after a call that may have taken it away ends the program with
// a message. What is borrowed lies within a child, or has one alone, which such a call gives back to the source.

import Mallow
import Testing

@testable import ComposableAllocators

/// What takes borrowed memory away, beside an allocation and another loan.
enum TakingAway: String, CaseIterable, Codable, Sendable {
    case middle, freeRest, resize, trim, recycle
    case head, tail, whole, everyPart, freeRestOfLast, shrinkLast, growLast, last, recycleInARow

    /// Those that are tried in a process of their own.
    static let trapping: [TakingAway] = [.middle, .freeRest, .resize, .trim, .recycle]

    func call(_ allocator: ScalableAllocator, _ blocks: [UnsafeMutableRawBufferPointer]) {
        let (first, last) = (blocks[0], blocks[2].baseAddress!)
        func part(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: first[range])
        }
        switch self {
        case .middle: allocator.deallocate(part: part(1024..<2048))
        case .freeRest: allocator.freeRest(of: first.baseAddress!, keeping: 100)
        case .resize: _ = allocator.resize(first.baseAddress!, byteCount: 100)
        case .trim: allocator.trim()
        case .recycle:
            // Not all that is live lies in a row: every child is looked at.
            allocator.deallocate(blocks[1])
            allocator.recycle()
        case .head: allocator.deallocate(part: part(0..<1024))
        case .tail: allocator.deallocate(part: part(1024..<4096))
        case .whole: allocator.deallocate(part: part(0..<4096))
        case .everyPart:
            for start in stride(from: 0, to: 4096, by: 32) { allocator.deallocate(part: part(start..<start + 16)) }
        case .freeRestOfLast: allocator.freeRest(of: last, keeping: 100)
        case .shrinkLast: _ = allocator.resize(last, byteCount: 100)
        case .growLast: _ = allocator.resize(last, byteCount: 4112)
        case .last: allocator.deallocate(last)
        case .recycleInARow: allocator.recycle()
        }
    }

    static func makeAllocator() throws -> (ScalableAllocator, [UnsafeMutableRawBufferPointer]) {
        let allocator = try ScalableAllocator(checked: true)
        return (allocator, try [4096, 64, 4096].map { try allocator.allocate(byteCount: $0) })
    }
}

@Suite struct BorrowedMemoryTests {
    static let byteCounts = [100, 16 << 20]

    @Test(arguments: TakingAway.trapping, byteCounts)
    func usedAfter(_ taking: TakingAway, _ byteCount: Int) async {
        let used = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [taking = taking as TakingAway, byteCount = byteCount as Int] in
            let (allocator, blocks) = try TakingAway.makeAllocator()
            var memory = try allocator.borrow(byteCount: byteCount)
            memory.withUnsafeMutableBytes { $0[0] = 1 }
            taking.call(allocator, blocks)
            memory.withUnsafeMutableBytes { $0[0] = 2 }
        }
        #expect(says(used?.standardErrorContent, "ScalableAllocator: 0x"))
        #expect(says(used?.standardErrorContent, "was borrowed, and is used after another call of the allocator"))
    }

    /// The number that is compared is another one after every call, whatever it was before.
    @Test(arguments: TakingAway.allCases, byteCounts)
    func theNumberRises(_ taking: TakingAway, _ byteCount: Int) throws {
        let (allocator, blocks) = try TakingAway.makeAllocator()
        let memory = try allocator.borrow(byteCount: byteCount)
        #expect(memory.moment == allocator.moment)
        let before = memory.moment
        taking.call(allocator, blocks)
        #expect(allocator.moment > before && allocator.brokenInvariant() == nil)
        // What was lent alone has gone back.
        #expect(allocator.lent == nil && allocator.childCount <= 1)
        allocator.recycle()
    }

    @Test func otherUses() async {
        let after = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try ScalableAllocator(checked: true)
            let memory = try allocator.borrow(byteCount: 100)
            _ = memory.bytes
            _ = try allocator.allocate(byteCount: 10)
            _ = memory.bytes
        }
        #expect(says(after?.standardErrorContent, "was borrowed, and is used after another call of the allocator"))
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try ScalableAllocator(checked: true)
            _ = try allocator.allocate(byteCount: 10)
            try allocator.withBorrowed(byteCount: 100) { memory in
                try allocator.withBorrowed(byteCount: 100) { _ in }
                _ = memory.mutableBytes
            }
        }
        #expect(says(twice?.standardErrorContent, "was borrowed, and is used after another call of the allocator"))
        // A call in the closure that has the bytes: asked again when it is over.
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try ScalableAllocator(checked: true)
            var memory = try allocator.borrow(byteCount: 100)
            _ = try memory.withUnsafeMutableBytes { bytes in
                let block = try allocator.allocate(byteCount: 100)
                return block.baseAddress == bytes.baseAddress
            }
        }
        #expect(says(inside?.standardErrorContent, "was borrowed, and is used after another call of the allocator"))
    }

    /// Without the checked mode nothing is compared; what only asks takes nothing away in it.
    @Test func whatIsNoMisuse() throws {
        let unchecked = ScalableAllocator()
        var memory = try unchecked.borrow(byteCount: 100)
        _ = try memory.withUnsafeMutableBytes { _ in try unchecked.allocate(byteCount: 10) }
        #expect(memory.bytes.byteCount == 100)

        let (allocator, blocks) = try TakingAway.makeAllocator()
        for byteCount in Self.byteCounts {
            var loan = try allocator.borrow(byteCount: byteCount)
            loan.withUnsafeMutableBytes { $0[byteCount - 1] = 7 }
            _ = allocator.byteCount(of: blocks[0].baseAddress!)
            _ = allocator.owns(blocks[1].baseAddress!)
            _ = (allocator.statistics, allocator.children, allocator.freeByteCount, allocator.findLeaks())
            #expect(loan.bytes.unsafeLoad(fromByteOffset: byteCount - 1, as: UInt8.self) == 7)
        }
        allocator.recycle()
    }
}
