import Mallow

struct Token: ~Copyable {
    var number: Int
}

struct Tree: ~Copyable {
    var number: Int
    var left: Box<Tree, SystemAllocator>?
    var right: Box<Tree, SystemAllocator>?
}

func takesOnce() throws -> Token {
    let box = try Box(Token(number: 5))
    print(box.value.number)
    return box.take()
}

func takesOnEachPath(_ condition: Bool) throws -> Int {
    let box = try Box(5)
    if condition { return box.take() }
    return box.value
}

func fillsAgain() throws {
    var box = try Box(5)
    print(box.take())
    box = try Box(6)
    box.value += 1
    print(box.replace(with: 7), box.value)
}

func sends() async throws -> Int {
    let box = try Box(5)
    let task = Task { box.value }
    return await task.value
}

func demandsSendable<T: Sendable & ~Copyable>(_ value: consuming T) {}

func isSendable() throws {
    demandsSendable(try Box(Token(number: 5)))
}

func sendsAPoolThatNobodyElseHas() async throws -> Int {
    let pool = try FixedBlockAllocator(blockSize: 64)
    let task = Task { try Box(5, in: pool).take() }
    return try await task.value
}

func lends(_ box: borrowing Box<Token, some Allocator>) -> Int {
    box.withUnsafePointer { $0.pointee.number } + box.value.number
}

func grows(_ tree: inout Tree) throws {
    tree.left = try Box(Tree(number: tree.number + 1, left: nil, right: nil))
}

func choosesAtRunTime(_ allocator: any Allocator) throws -> Int {
    try Box(5, in: AnyAllocator(allocator)).take()
}
