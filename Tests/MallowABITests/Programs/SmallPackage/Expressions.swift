// A part of the small package that swiftc compiles on Mallow: a parser and an evaluator for arithmetic.

enum Expression {
    case number(Double)
    indirect case binary(Character, Expression, Expression)

    var value: Double {
        switch self {
        case .number(let number): number
        case .binary("+", let left, let right): left.value + right.value
        case .binary("-", let left, let right): left.value - right.value
        case .binary("*", let left, let right): left.value * right.value
        case .binary(_, let left, let right): left.value / right.value
        }
    }
}

struct Parser {
    enum Failure: Error, Equatable {
        case unexpected(Character)
        case ended
    }

    private var rest: Substring

    init(_ text: String) { rest = text.filter { !$0.isWhitespace }[...] }

    mutating func parse() throws(Failure) -> Expression {
        let sum = try self.sum()
        if let next = rest.first { throw .unexpected(next) }
        return sum
    }

    private mutating func sum() throws(Failure) -> Expression {
        var left = try product()
        while let sign = rest.first, "+-".contains(sign) {
            rest.removeFirst()
            left = .binary(sign, left, try product())
        }
        return left
    }

    private mutating func product() throws(Failure) -> Expression {
        var left = try atom()
        while let sign = rest.first, "*/".contains(sign) {
            rest.removeFirst()
            left = .binary(sign, left, try atom())
        }
        return left
    }

    private mutating func atom() throws(Failure) -> Expression {
        guard let first = rest.first else { throw .ended }
        if first == "(" {
            rest.removeFirst()
            let inner = try sum()
            guard rest.popFirst() == ")" else { throw .ended }
            return inner
        }
        let digits = rest.prefix { $0.isNumber || $0 == "." }
        guard let number = Double(digits) else { throw .unexpected(first) }
        rest.removeFirst(digits.count)
        return .number(number)
    }
}
