import Mallow

func sendsABoxOfAPool(_ pool: FixedBlockAllocator<SystemAllocator>) throws {
    let box = try Box(5, in: pool)
    Task { print(box.value) }  // error: risks causing data races
    use(pool)
}

func sendsAPoolAndUsesIt() async throws {
    let pool = try FixedBlockAllocator(blockSize: 64)
    let task = Task { use(pool) }  // error: risks causing data races
    use(pool)
    await task.value
}

func takesFromAPoolInTwoTasks(_ pool: FixedBlockAllocator<SystemAllocator>) async throws {
    async let number = Box(5, in: pool).take()  // error: sending 'pool' risks causing data races
    print(try Box(6, in: pool).take(), try await number)
}

func use(_ pool: FixedBlockAllocator<SystemAllocator>) {}
