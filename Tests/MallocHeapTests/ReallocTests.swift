// Blocks that grow: where they go, and that nothing of them is lost on the way, whatever the kernel refuses.

import MallocHeap
import SystemMemory
import Testing

private let mebibyte: UInt = 1 << 20

/// The address of a block, filled with a pattern of its own.
private func filledBlock(_ byteCount: UInt) -> UInt {
    let block = Malloc.allocate(byteCount).unsafelyUnwrapped
    for offset in stride(from: 0, to: Int(byteCount), by: 4096) {
        block.storeBytes(of: offset, toByteOffset: offset, as: Int.self)
    }
    return UInt(bitPattern: block)
}

private func isFilled(_ block: UnsafeMutableRawPointer, _ byteCount: UInt) -> Bool {
    stride(from: 0, to: Int(byteCount), by: 4096).allSatisfy { block.load(fromByteOffset: $0, as: Int.self) == $0 }
}

extension HeapTests {
    @Suite(.serialized) struct Growing {
        /// The idle memory is in pieces, and the kernel gives no more for a while: the block is moved by the kernel, or
        /// stays as it was, with what it holds.
        @Test func doublesWhereIdleMemoryIsInPieces() async {
            await #expect(processExitsWith: .success) {
                Malloc.setPurgeDelay(milliseconds: 1 << 30)
                var refusals = 0
                var moves = 0
                for failing in 1...24 {
                    Malloc.trim()
                    let growing = filledBlock(4 * mebibyte)
                    let wall = filledBlock(64 << 10)
                    let pieces = (0..<4).map { _ in (filledBlock(4 * mebibyte), filledBlock(64 << 10)) }
                    let rest = filledBlock(8 * mebibyte)
                    for piece in pieces { Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: piece.0)) }
                    FaultInjection.fail(nth: 1, count: failing, of: [.map])
                    let moved = Malloc.reallocate(UnsafeMutableRawPointer(bitPattern: growing), 8 * mebibyte)
                    FaultInjection.end()
                    if moved == nil { refusals += 1 } else { moves += 1 }
                    let block = moved ?? UnsafeMutableRawPointer(bitPattern: growing)
                    #expect(block.map { isFilled($0, 4 * mebibyte) } == true)
                    #expect(Malloc.usableSize(block) >= (moved == nil ? 4 : 8) * mebibyte)
                    #expect(Malloc.brokenInvariant() == nil)
                    Malloc.deallocate(block)
                    for kept in [wall, rest] { Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: kept)) }
                    for piece in pieces { Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: piece.1)) }
                    #expect(Malloc.brokenInvariant() == nil)
                }
                #expect(moves > 0)
                #expect(refusals > 0)
            }
        }

        /// One that grows by a little is likely to grow on, and gets a quarter more; one that grows by half or more has
        /// room by the program's own design, and gets no more than it asks for.
        @Test func roomForWhatGrowsByALittle() {
            let creeping = Malloc.reallocate(Malloc.allocate(1000), 1100)
            #expect(Malloc.usableSize(creeping) >= 1375)
            let doubling = Malloc.reallocate(Malloc.allocate(1024), 2048)
            #expect(Malloc.usableSize(doubling) == 2048)
            Malloc.deallocate(creeping)
            Malloc.deallocate(doubling)
        }
    }
}
