// Handles stay where their arena is.
import Mallow

func demandsSendable<T: Sendable & ~Copyable>(_ value: consuming T) {}

func sends(_ arena: SlabArena) throws {
    demandsSendable(arena)  // error: 'SlabArena' does not conform to the 'Sendable' protocol
    demandsSendable(try arena.makeBuffer(byteCount: 5))  // error: 'SlabBuffer' does not conform to the 'Sendable'
    demandsSendable(try arena.makeItem(byteCount: 5))  // error: 'SlabItem' does not conform to the 'Sendable'
}

func capturesTheArena(_ arena: SlabArena) -> @Sendable () -> Int {
    { arena.trim() }  // error: capture of 'arena' with non-Sendable type
}
