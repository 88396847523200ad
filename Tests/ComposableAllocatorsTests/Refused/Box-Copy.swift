import Mallow

struct CopyableHolder {
    var box: Box<Int, SystemAllocator>  // error: has non-Copyable type 'Box<Int, SystemAllocator>'
}

func demandsCopyable<T>(_ value: T) {}

func passesAsCopyable() throws {
    demandsCopyable(try Box(5))  // error: requires that 'Box<Int, SystemAllocator>' conform to 'Copyable'
}
