// A handle has one owner.
import Mallow

struct Copyable {
    var buffer: SlabBuffer  // error: has non-Copyable type 'SlabBuffer'
}

func demandsCopyable<T>(_ value: T) {}

func passesAsCopyable(_ arena: SlabArena) throws {
    demandsCopyable(try arena.makeBuffer(byteCount: 5))  // error: requires that 'SlabBuffer' conform to 'Copyable'
    demandsCopyable(try arena.makeItem(byteCount: 5))  // error: requires that 'SlabItem' conform to 'Copyable'
}
