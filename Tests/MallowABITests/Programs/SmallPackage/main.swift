// The small package's program: uses every part, and prints what two builds of it must agree on.

let tree = (0..<2000).reduce(Tree<Int>.empty) { $0.inserting($1 * 7919 % 2003) }
print(Array(tree.prefix(5)), tree.reduce(0, +))

for text in ["1 + 2 * 3", "(1 + 2) * 3 / 4", "2 * (3", "4 $ 4"] {
    var parser = Parser(text)
    do {
        print(text, "=", try parser.parse().value)
    } catch {
        print(text, "fails:", error)
    }
}

let shapes: [any Shape<Int>] = [Square(side: 5), Rectangle(width: 4, height: 7), Square(side: 2).scaled(by: 3)]
print(largest(shapes)?.name ?? "none", total(\.side, of: (1...10).map { Square(side: $0) }))
