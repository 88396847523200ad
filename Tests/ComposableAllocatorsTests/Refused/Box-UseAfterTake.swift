import Mallow

func readsAfterwards() throws {
    let box = try Box(5)  // error: 'box' used after consume
    print(box.take())
    print(box.value)
}

func writesAfterwards() throws {
    var box = try Box(5)  // error: 'box' used after consume
    print(box.take())
    box.value = 6
}

func replacesAfterwards() throws {
    var box = try Box(5)  // error: 'box' used after consume
    print(box.take())
    print(box.replace(with: 6))
}

func readsWhereItMayBeGone(_ condition: Bool) throws {
    let box = try Box(5)  // error: 'box' used after consume
    if condition { print(box.take()) }
    print(box.value)
}
