// A part of the small package that swiftc compiles on Mallow: a generic search tree with value semantics.

indirect enum Tree<Element: Comparable> {
    case empty
    case node(Tree, Element, Tree)

    func inserting(_ element: Element) -> Tree {
        switch self {
        case .empty: .node(.empty, element, .empty)
        case .node(let left, let own, let right):
            if element < own {
                .node(left.inserting(element), own, right)
            } else if element > own {
                .node(left, own, right.inserting(element))
            } else {
                self
            }
        }
    }
}

extension Tree: Sequence {
    func makeIterator() -> AnyIterator<Element> {
        var pending: [(Tree, Element?)] = [(self, nil)]
        return AnyIterator {
            while let (tree, element) = pending.popLast() {
                if let element { return element }
                if case .node(let left, let own, let right) = tree {
                    pending += [(right, nil), (.empty, own), (left, nil)]
                }
            }
            return nil
        }
    }
}
