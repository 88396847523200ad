import Mallow

func changes(_ first: inout Int, _ second: inout Int) {}

func changesTheValueTwiceAtOnce() throws {
    var box = try Box(5)
    changes(&box.value, &box.value)  // error: overlapping accesses to 'box'
}

func replacesWhileItsValueChanges() throws {
    var box = try Box(5)
    box.withUnsafeMutablePointer { _ in print(box.replace(with: 6)) }  // error: overlapping accesses to 'box'
}
