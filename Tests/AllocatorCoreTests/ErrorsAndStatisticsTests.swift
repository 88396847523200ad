// What errors say, and the account's identity and its form as JSON.

import AllocatorTestKit
import Foundation
import Testing

@testable import AllocatorCore

@Suite struct AllocationErrorTests {
    private func error(
        _ reason: AllocationError.Reason, byteCount: Int = 100, alignment: Int = 16
    ) -> AllocationError {
        AllocationError(allocator: "Pool", byteCount: byteCount, alignment: alignment, reason: reason)
    }

    @Test(
        arguments: [
            (.outOfMemory, "found no memory"),
            (.tooLarge(limit: 64), "is above the largest that it serves, 64 bytes"),
            (.invalidAlignment, "asks for an alignment that is not a power of two"),
            (.unsupportedAlignment(limit: 8), "is above the alignment that it offers, 8"),
            (.quotaExceeded(limit: 1000), "goes beyond its limit of 1000 live bytes"),
        ] as [(AllocationError.Reason, String)])
    func saysWhy(reason: AllocationError.Reason, text: String) {
        let error = error(reason)
        #expect(error.description == "Pool: a request for 100 bytes, aligned to 16, " + text)
        #expect(error.reason == reason)
        #expect(error.allocator == "Pool")
        #expect(error.byteCount == 100)
        #expect(error.alignment == 16)
        #expect(error == self.error(reason))
        #expect(error != self.error(reason, byteCount: 101))
        #expect(error != self.error(reason, alignment: 32))
        #expect(error != AllocationError(allocator: "Other", byteCount: 100, alignment: 16, reason: reason))
    }

    @Test(arguments: [0, 1, 3, -1, -8, 4096, 1 << 53, -1 << 53]) func keepsTheAlignment(alignment: Int) {
        #expect(error(.invalidAlignment, alignment: alignment).alignment == alignment)
    }

    @Test(arguments: [Int.max, .min, 1 << 62]) func alignmentsBeyondAllMemoryKeepTheirReason(alignment: Int) {
        let error = error(.unsupportedAlignment(limit: .max), byteCount: .max, alignment: alignment)
        #expect(error.reason == .unsupportedAlignment(limit: .max))
        #expect(error.byteCount == .max)
        #expect((error.alignment > 0) == (alignment > 0))
    }

    @Test func isFourWords() {
        #expect(MemoryLayout<AllocationError>.size <= 4 * MemoryLayout<Int>.size)
    }

    @Test func configurationErrorNamesTheArgument() {
        let error = ConfigurationError(
            allocator: "Pool", argument: "pageSize", value: 100, requirement: "a multiple of blockSize (48)")
        #expect(error.description == "Pool: pageSize is 100 and must be a multiple of blockSize (48)")
    }

    @Test func refusalsOrderTheirReasons() {
        func reason(_ byteCount: Int, _ alignment: Int) -> AllocationError.Reason {
            refusal("Pool", byteCount: byteCount, alignment: alignment, largest: 64, largestAlignment: 16).reason
        }
        #expect(reason(64, 16) == .outOfMemory)
        #expect(reason(65, 16) == .tooLarge(limit: 64))
        #expect(reason(65, 32) == .unsupportedAlignment(limit: 16))
        #expect(reason(65, 33) == .invalidAlignment)
        #expect(
            refusal("Pool", byteCount: 1, alignment: 1, otherwise: .quotaExceeded(limit: 3)).reason
                == .quotaExceeded(limit: 3))
    }

    @Test func misuseTellsTheAllocatorThePointerAndWhatIsWrong() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            misuse("Pool", UnsafeRawPointer(bitPattern: 0x1230)!, "was freed already")
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(text.contains("Pool: 0x0000000000001230 was freed already"))
    }

    @Test func roundingUp() {
        #expect(roundedUp(0, toMultipleOf: 8) == 0)
        #expect(roundedUp(1, toMultipleOf: 8) == 8)
        #expect(roundedUp(16, toMultipleOf: 8) == 16)
        #expect(roundedUp(.max - 7, toMultipleOf: 8) == .max - 7)
        #expect(roundedUp(.max - 6, toMultipleOf: 8) == nil)
        #expect(
            [0, 1, 2, 3, 64, 96, -8, .min, 1 << 62].map(isPowerOfTwo) == [
                false, true, true, false, true, false, false, false, true,
            ])
    }
}

@Suite struct LeakErrorTests {
    @Test func saysHowMuch() {
        #expect(LeakError(allocator: "Pool", blocks: 1, bytes: 1).description == "Pool: 1 block of 1 byte still live")
        #expect(
            LeakError(allocator: "Pool", blocks: 2, bytes: 96).description
                == "Pool: 2 blocks of 96 bytes in all still live")
    }

    @Test func listsTheSitesWithTheMostBytesFirst() {
        let leak = LeakError(
            allocator: "Pool", blocks: 3, bytes: 50,
            sites: [
                .init(location: "A.swift:1", blocks: 2, bytes: 10),
                .init(location: "B.swift:2", blocks: 1, bytes: 40, stack: ["inner()", "outer()"]),
            ])
        #expect(
            leak.description == """
                Pool: 3 blocks of 50 bytes in all still live
                    1 block of 40 bytes from B.swift:2
                        inner()
                        outer()
                    2 blocks of 10 bytes in all from A.swift:1
                """)
    }

    @Test func partsAreCombined() {
        let site = LeakError.Site(location: "A.swift:1", blocks: 1, bytes: 8)
        let small = LeakError(allocator: "Small", blocks: 1, bytes: 8, sites: [site])
        let large = LeakError(allocator: "Large", blocks: 2, bytes: 300)
        #expect(LeakError.combining(nil, nil) == nil)
        #expect(LeakError.combining(nil, large) == large)
        #expect(
            LeakError.combining(small, nil, large)
                == LeakError(allocator: "Small, Large", blocks: 3, bytes: 308, sites: [site]))
    }
}

@Suite struct AllocatorStatisticsTests {
    @Test func roundTripsAsJSON() throws {
        let statistics = AllocatorStatistics(
            liveBlocks: 1, liveBytes: 2, peakBlocks: 3, peakBytes: 4, totalBlocks: 5, totalBytes: 6, heldBytes: 7,
            overheadBytes: 8)
        let data = try JSONEncoder().encode(statistics)
        #expect(try JSONDecoder().decode(AllocatorStatistics.self, from: data) == statistics)
        let fields = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Int])
        #expect(
            fields == [
                "liveBlocks": 1, "liveBytes": 2, "peakBlocks": 3, "peakBytes": 4, "totalBlocks": 5, "totalBytes": 6,
                "heldBytes": 7, "overheadBytes": 8,
            ])
        #expect(
            statistics.description == "live 1 blocks, 2 bytes; peak 3 blocks, 4 bytes; in all 5 blocks, 6 bytes; "
                + "held 7 bytes, overhead 8")
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>) func addsUp(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var statistics = AllocatorStatistics()
        var live: [(byteCount: Int, overhead: Int)] = []
        var (peakBlocks, peakBytes, total, totalBytes) = (0, 0, 0, 0)
        for _ in 0..<500 {
            if live.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
                let block = (Int.random(in: 0...100, using: &random), Int.random(in: 0...16, using: &random))
                live.append(block)
                statistics.enter(byteCount: block.0, overhead: block.1)
                total += 1
                totalBytes += block.0
            } else {
                let block = live.remove(at: .random(in: live.indices, using: &random))
                statistics.remove(byteCount: block.byteCount, overhead: block.overhead)
            }
            let bytes = live.reduce(0) { $0 + $1.byteCount }
            peakBlocks = max(peakBlocks, live.count)
            peakBytes = max(peakBytes, bytes)
            let overhead = live.reduce(0) { $0 + $1.overhead }
            #expect(
                statistics
                    == AllocatorStatistics(
                        liveBlocks: live.count, liveBytes: bytes, peakBlocks: peakBlocks, peakBytes: peakBytes,
                        totalBlocks: total, totalBytes: totalBytes, heldBytes: bytes + overhead,
                        overheadBytes: overhead))
            #expect(statistics.freeBytes == 0)
        }
    }

    @Test func freeBytesAreTheRest() {
        let statistics = AllocatorStatistics(liveBytes: 30, heldBytes: 100, overheadBytes: 20)
        #expect(statistics.freeBytes == 50)
        #expect(statistics.liveBytes + statistics.overheadBytes + statistics.freeBytes == statistics.heldBytes)
    }
}
