// A handle that gave its reference away is no more.
import Mallow

func storesTwice(_ arena: SlabArena) throws {
    let buffer = try arena.makeBuffer(byteCount: 5)  // error: 'buffer' consumed more than once
    print(buffer.store())
    print(buffer.store())
}

func readsAfterwards(_ arena: SlabArena) throws {
    let buffer = try arena.makeBuffer(byteCount: 5)  // error: 'buffer' used after consume
    print(buffer.store(), buffer.count)
}

func hasTwoOwners(_ arena: SlabArena) throws {
    let buffer = try arena.makeBuffer(byteCount: 5)  // error: 'buffer' used after consume
    let other = buffer
    print(buffer.count, other.count)
}

func storesAnItemTwice(_ arena: SlabArena) throws {
    let item = try arena.makeItem(byteCount: 5)  // error: 'item' consumed more than once
    print(item.store())
    print(item.intoBuffer().count)
}

// error: 'buffer' is borrowed and cannot be consumed
func storesWhatWasLent(_ buffer: borrowing SlabBuffer) -> SlabLocation { buffer.store() }
