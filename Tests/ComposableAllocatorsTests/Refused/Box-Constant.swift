import Mallow

func changesAConstant() throws {
    let box = try Box(5)
    box.value = 6  // error: 'box' is a 'let' constant
    print(box.replace(with: 7))  // error: cannot use mutating member on immutable value
    box.withUnsafeMutablePointer { $0.pointee = 8 }  // error: cannot use mutating member on immutable value
}
