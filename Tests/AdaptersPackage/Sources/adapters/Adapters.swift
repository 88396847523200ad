// Uses the adapters as a user's program does: exits with 1, and a line for each thing that is wrong.

import Foundation
import Mallow

nonisolated(unsafe) var failures = 0

func check(_ isRight: Bool, _ what: String, line: Int = #line) {
    if isRight { return }
    failures += 1
    print("line \(line): \(what)")
}

/// Counts what is alive.
final class Witness {
    nonisolated(unsafe) static var alive = 0
    let bytes: UnsafeMutableRawBufferPointer

    init(_ content: [UInt8]) {
        bytes = .allocate(byteCount: content.count, alignment: 1)
        bytes.copyBytes(from: content)
        Self.alive += 1
    }

    deinit {
        // Who reads it now sees it.
        bytes.initializeMemory(as: UInt8.self, repeating: 0xdd)
        bytes.deallocate()
        Self.alive -= 1
    }
}

/// Whether something throws, and what.
func errorOf(_ body: () throws -> Void) -> (any Error)? {
    do { try body() } catch { return error }
    return nil
}

/// A segment whose memory counts itself.
func counted(_ content: [UInt8]) -> Segment {
    let witness = Witness(content)
    return Segment(UnsafeRawBufferPointer(witness.bytes), ownedBy: witness)
}

func pattern(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0) &* 7 &+ seed }
}

@main
struct Adapters {
    static func main() async throws {
        checkByteBuffers()
        checkWhatIsSharedStays()
        checkTwoMemoriesAtOneAddress()
        checkRandomSharing(seed: 1)
        try checkReads()
        try checkHandlers()
        try checkInboundAllocator()
        try checkOutboundWriters()
        try checkLargeSegment()
        try checkChannel()
        try await checkSending()
        checkData()
        checkWhatDataSharesStays()
        check(Witness.alive == 0, "\(Witness.alive) segments are still alive")
        print(failures == 0 ? "the adapters share and give back what they should" : "\(failures) failures")
        exit(failures == 0 ? 0 : 1)
    }
}
