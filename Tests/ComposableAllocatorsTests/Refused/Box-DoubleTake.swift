import Mallow

func takesTwice() throws {
    let box = try Box(5)  // error: 'box' consumed more than once
    let first = box.take()
    let second = box.take()
    print(first, second)
}

func takesInALoop() throws {
    let box = try Box(5)  // error: 'box' consumed in a loop
    for _ in 0..<2 { print(box.take()) }
}

func takesWhatItGave(_ end: (consuming Box<Int, SystemAllocator>) -> Void) throws {
    let box = try Box(5)  // error: 'box' consumed more than once
    end(box)
    print(box.take())
}

func leaksAndTakes() throws {
    let box = try Box(5)  // error: 'box' consumed more than once
    box.leak().deinitialize(count: 1)
    print(box.take())
}

func hasTwoOwners() throws {
    let box = try Box(5)  // error: 'box' used after consume
    let other = box
    print(box.value, other.value)
}
