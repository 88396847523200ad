// Numbers as people read them. Units are binary for bytes (1 MiB = 1024 KiB) and follow the size of the number.

enum Format {
    /// A number with so many digits after the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        let scale = (0..<digits).reduce(1) { product, _ in product * 10 }
        let rounded = Int((abs(value) * Double(scale)).rounded())
        let sign = value < 0 && rounded > 0 ? "-" : ""
        guard digits > 0 else { return sign + String(rounded) }
        let fraction = String(rounded % scale)
        return sign + String(rounded / scale) + "." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// "1,234,567".
    static func count(_ value: Int) -> String {
        let digits = String(value.magnitude)
        var result = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return result
    }

    /// "12 B", "3.4 KiB", "56.7 MiB".
    static func bytes(_ value: Double) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var scaled = value
        var unit = 0
        while abs(scaled) >= 1024, unit < units.count - 1 {
            scaled /= 1024
            unit += 1
        }
        return fixed(scaled, unit == 0 ? 0 : 1) + " " + units[unit]
    }

    static func bytes(_ value: Int) -> String { bytes(Double(value)) }

    /// "1.234 s", "56.7 ms".
    static func seconds(_ value: Double) -> String {
        value < 1 ? fixed(value * 1000, 1) + " ms" : fixed(value, 3) + " s"
    }

    /// "1 process", "2 processes".
    static func plural(_ value: Int, _ one: String, _ many: String) -> String {
        "\(count(value)) \(value == 1 ? one : many)"
    }

    static func padded(_ text: String, to width: Int, right: Bool = false) -> String {
        let padding = String(repeating: " ", count: max(0, width - text.count))
        return right ? padding + text : text + padding
    }
}
