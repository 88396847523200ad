// A part of the small package that swiftc compiles on Mallow: protocols, existentials, opaque types and key paths.

protocol Shape<Unit> {
    associatedtype Unit: Numeric & Comparable
    var name: String { get }
    var area: Unit { get }
}

struct Square<Unit: Numeric & Comparable>: Shape {
    var side: Unit
    var name: String { "square" }
    var area: Unit { side * side }
}

struct Rectangle<Unit: Numeric & Comparable>: Shape {
    var width, height: Unit
    var name: String { "rectangle" }
    var area: Unit { width * height }
}

struct Scaled<Base: Shape>: Shape {
    var base: Base
    var factor: Base.Unit
    var name: String { "scaled " + base.name }
    var area: Base.Unit { base.area * factor * factor }
}

extension Shape {
    func scaled(by factor: Unit) -> some Shape<Unit> { Scaled(base: self, factor: factor) }
}

func largest(_ shapes: [any Shape<Int>]) -> (any Shape<Int>)? {
    shapes.max { $0.area < $1.area }
}

func total<Root, Value: AdditiveArithmetic>(_ path: KeyPath<Root, Value>, of roots: [Root]) -> Value {
    roots.reduce(.zero) { $0 + $1[keyPath: path] }
}
