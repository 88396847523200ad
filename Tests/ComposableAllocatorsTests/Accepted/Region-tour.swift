// Everything that a region offers, as it is meant to be used.
import Mallow

struct Token: ~Copyable {
    var number: Int
    deinit {}
}

struct Node {
    var next: UnsafeMutablePointer<Node>?
    var number: Int
}

func values(_ region: borrowing Region) throws -> Int {
    var number = try region.allocate(1)
    var text = try region.allocate("text")
    var token = try region.allocate(Token(number: 2))
    number.value += 1
    text.value += "!"
    token.value.number += number.value
    return number.value + text.value.count + token.value.number
}

func spans(_ region: borrowing Region) throws -> Int {
    var zeros = try region.allocate(repeating: 0, count: 10)
    zeros[3] = 4
    let copy = try region.allocate(copying: [1, 2, 3])
    let again = try region.allocate(copying: copy.span)
    let squares = try region.allocate(capacity: 10) { (output: inout OutputSpan<Int>) in
        for number in 0..<10 { output.append(number * number) }
    }
    var output = try region.makeOutputSpan(of: String.self, capacity: 2)
    output.append("one")
    return zeros[3] + again[2] + squares[9] + output.count
}

func growing(_ region: borrowing Region) throws -> Int {
    var numbers = try region.makeArray(of: Int.self)
    var text = try region.makeString("numbers:")
    for number in 0..<100 {
        try numbers.append(number)
        try text.append(" ")
        try text.append(decimal: number)
    }
    numbers[0] = 7
    var sum = numbers.span.count
    sum += numbers.mutableSpan.count
    let bytes = try text.finishAsCString()
    let finished = numbers.finish()
    return bytes.withUnsafePointer { Int($0.pointee) } + finished[99] + sum
}

func scopes(_ region: inout Region) throws -> Int {
    let mark = try region.checkpoint()
    _ = try region.allocate(1)
    region.rewind(to: mark)
    let number = try region.withCheckpoint { try $0.allocate(2).value }
    let outer = try region.allocate(3)
    var child = region.makeChild()
    let inner = try child.allocate(outer.value).value
    child.reset()
    let grandchild = child.makeChild()
    return try number + outer.value + inner + grandchild.allocate(4).value
}

func linked(_ region: borrowing Region) throws -> Int {
    var first: UnsafeMutablePointer<Node>?
    for number in 0..<10 { first = try region.allocate(Node(next: first, number: number)).unsafePointer }
    return first?.pointee.number ?? 0
}

func program() throws -> Int {
    var region = Region()
    let sum = try values(region) + spans(region) + growing(region) + linked(region)
    region.reset()
    let more = try scopes(&region)
    region.reset(keeping: 1 << 20)
    let block = try region.unsafeAllocator.allocate(byteCount: 100)
    region.unsafeAllocator.deallocate(block)
    return sum + more + region.statistics.liveBlocks
}
