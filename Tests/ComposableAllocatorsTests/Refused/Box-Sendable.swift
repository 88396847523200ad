import Mallow

final class Plain {
    var number = 0
}

func demandsSendable<T: Sendable & ~Copyable>(_ value: consuming T) {}

func boxOfAPool(_ pool: FixedBlockAllocator<SystemAllocator>) throws {
    // error: 'FixedBlockAllocator<SystemAllocator>' does not conform to the 'Sendable' protocol
    demandsSendable(try Box(5, in: pool))
}

func boxOfAPlainObject() throws {
    demandsSendable(try Box(Plain()))  // error: 'Plain' does not conform to the 'Sendable' protocol
}

func poolInAClosure(_ pool: FixedBlockAllocator<SystemAllocator>) -> @Sendable () -> Void {
    { _ = pool.tryAllocate(byteCount: 8, alignment: 8) }  // error: capture of 'pool' with non-Sendable type
}
