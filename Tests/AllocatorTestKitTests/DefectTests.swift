// Every defect is found, under the right clause, and with few operations.

import AllocatorCore
import AllocatorTestKit
import Testing

@Suite struct DefectTests {
    /// A defect, where it must be found, and the fewest operations that show it.
    struct Case: Sendable, CustomTestStringConvertible {
        var defect: Defect
        var clause: ContractViolation.Clause
        var subject: String
        var most: Int

        init(_ defect: Defect, _ clause: ContractViolation.Clause, _ subject: String, _ most: Int) {
            self.defect = defect
            self.clause = clause
            self.subject = subject
            self.most = most
        }

        var testDescription: String { "\(defect)" }
    }

    static let cases: [Case] = [
        Case(.overlappingBlocks, .separateBlocks, "overlap", 6),
        Case(.losesContents, .separateBlocks, "contents", 4),
        Case(.misaligned, .usableBytes, "alignment", 1),
        Case(.shortCount, .usableBytes, "count", 1),
        Case(.thirdBlockShort, .usableBytes, "count", 3),
        Case(.zeroBytesThrow, .zeroBytes, "refusal", 1),
        Case(.zeroBytesWithoutAddress, .zeroBytes, "address", 1),
        Case(.zeroBytesShareAnAddress, .separateBlocks, "overlap", 2),
        Case(.servesHugeSizes, .refusals, "impossible request", 1),
        Case(.servesAnyAlignment, .refusals, "impossible request", 1),
        Case(.blamesMemoryForAlignment, .refusals, "alignment", 1),
        Case(.refusalKeepsMemory, .refusals, "statistics.heldBytes", 1),
        Case(.refusalCounts, .refusals, "statistics.totalBlocks", 1),
        Case(.refusalWrites, .refusals, "contents", 2),
        Case(.tryAllocateRefuses, .refusals, "first request", 0),
        Case(.refusesAfterUse, .refusals, "reuse", 81),
        Case(.refusesAfterClose, .refusals, "reuse", 2),
        Case(.refusesEverything, .refusals, "first request", 0),
        Case(.statistics(.liveBlocks), .capabilities, "statistics.liveBlocks", 3),
        Case(.statistics(.liveBytes), .capabilities, "statistics.liveBytes", 3),
        Case(.statistics(.peakBlocks), .capabilities, "statistics.peakBlocks", 3),
        Case(.statistics(.peakBytes), .capabilities, "statistics.peakBytes", 3),
        Case(.statistics(.totalBlocks), .capabilities, "statistics.totalBlocks", 3),
        Case(.statistics(.totalBytes), .capabilities, "statistics.totalBytes", 3),
        Case(.statistics(.heldBytes), .capabilities, "statistics.heldBytes", 3),
        Case(.statistics(.overheadBytes), .capabilities, "statistics.heldBytes", 3),
        Case(.goodSizeBelow, .capabilities, "goodSize", 1),
        Case(.goodSizeAbove, .capabilities, "goodSize", 1),
        Case(.sizeBelow, .capabilities, "byteCount(of:)", 1),
        Case(.sizeChanges, .capabilities, "byteCount(of:)", 5),
        Case(.ownsAll, .capabilities, "owns", 0),
        Case(.ownsNone, .capabilities, "owns", 1),
        Case(.ownsNotThird, .capabilities, "owns", 3),
        Case(.hookDisagrees, .capabilities, "owns", 4),
        Case(.freesNotByOwner, .capabilities, "owns", 5),
        Case(.resizeLosesContents, .capabilities, "resize", 2),
        Case(.resizeMoves, .capabilities, "resize", 2),
        Case(.resizeShort, .capabilities, "resize", 2),
        Case(.resizeDeclinedWrites, .separateBlocks, "contents", 2),
        Case(.resizeNotCounted, .capabilities, "statistics.liveBytes", 2),
        Case(.freeAllForgets, .capabilities, "statistics.liveBlocks", 2),
        Case(.leaksUnreported, .capabilities, "findLeaks", 1),
        Case(.leaksMiscounted, .capabilities, "findLeaks", 3),
        Case(.leaksOfNothing, .capabilities, "findLeaks", 3),
        Case(.closeFrees, .capabilities, "close", 2),
        Case(.closeIsSilent, .capabilities, "close", 2),
        Case(.closeMiscounts, .capabilities, "close", 2),
        Case(.closeThrowsWhenEmpty, .capabilities, "close", 1),
        Case(.closeKeepsMemory, .capabilities, "close", 1),
    ]

    @Test func noneIsFoundInTheRightOne() throws {
        try checkAllocator(sequences: 40) { DefectiveAllocator(.none) }
    }

    @Test(arguments: cases) func isFound(_ it: Case) throws {
        let violation = try #require(throws: ContractViolation.self) {
            try checkAllocator(seed: 7) { DefectiveAllocator(it.defect) }
        }
        #expect(violation.clause == it.clause, "\(violation)")
        #expect(violation.subject == it.subject, "\(violation)")
        #expect(violation.operations.count <= it.most, "\(violation)")
        #expect(violation.seed == 7)
        #expect(violation.allocator == "DefectiveAllocator")
    }

    @Test func numbersAreMadeSmall() throws {
        let short = try #require(throws: ContractViolation.self) {
            try checkAllocator { DefectiveAllocator(.shortCount) }
        }
        #expect(short.operations == [.allocate(id: 0, byteCount: 101, alignment: 1)])
        let misaligned = try #require(throws: ContractViolation.self) {
            try checkAllocator { DefectiveAllocator(.misaligned) }
        }
        #expect(misaligned.operations == [.allocate(id: 0, byteCount: 0, alignment: 64)])
    }

    @Test func theDescriptionCanBeReplayed() throws {
        let violation = try #require(throws: ContractViolation.self) {
            try checkAllocator(seed: 3) { DefectiveAllocator(.thirdBlockShort) }
        }
        let text = violation.description
        #expect(
            text.hasPrefix("DefectiveAllocator breaks C2 (count): a request for 1 bytes, aligned to 1, was given 0"))
        #expect(text.contains("seed 3, 3 operations on a new allocator:"))
        #expect(text.contains("\n        let b1 = try allocator.allocate(byteCount: 0, alignment: 1)\n"))
        #expect(text.hasSuffix("\n        let b2 = try allocator.allocate(byteCount: 1, alignment: 1)"))
    }

    @Test func theSameSeedFindsTheSame() throws {
        let violations = try (0..<2).map { _ in
            try #require(throws: ContractViolation.self) {
                try checkAllocator(seed: 11) { DefectiveAllocator(.freeAllForgets) }
            }
        }
        #expect(violations[0].operations == violations[1].operations)
    }
}
