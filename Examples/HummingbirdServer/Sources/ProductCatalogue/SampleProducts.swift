// Products to start with: the same ones on every run, so that runs compare.

extension ProductDraft {
    /// The product of this number: names and tags from a few words, so that searches find some, and a summary of 200 to
    /// 600 bytes.
    public static func sample(_ number: Int) -> ProductDraft {
        var generator = SampleNumbers(seed: UInt64(number))
        let kind = generator.pick(kinds)
        let material = generator.pick(materials)
        let sentences = (0..<(3 + generator.next(below: 6))).map { _ in
            "A \(generator.pick(adjectives)) \(generator.pick(materials)) \(kind), \(generator.pick(adjectives))"
                + " in use and made to last for \(2 + generator.next(below: 30)) years."
        }
        return ProductDraft(
            name: "\(generator.pick(adjectives).capitalized) \(material) \(kind) \(number)",
            summary: sentences.joined(separator: " "),
            price: 100 + generator.next(below: 100_000),
            tags: [kind, material, generator.pick(adjectives)],
            attributes: [
                "colour": generator.pick(colours), "weight": "\(10 + generator.next(below: 5000)) g",
                "supplier": "supplier-\(generator.next(below: 40))", "sku": "SKU-\(1_000_000 + number)",
            ])
    }
}

private let kinds = ["lamp", "chair", "table", "kettle", "bicycle", "backpack", "notebook", "clock", "speaker", "mug"]
private let materials = ["oak", "steel", "copper", "linen", "leather", "glass", "bamboo", "wool", "aluminium", "clay"]
private let adjectives = [
    "quiet", "sturdy", "light", "compact", "bright", "classic", "foldable", "simple", "warm", "small",
]
private let colours = ["black", "white", "grey", "blue", "green", "red", "natural"]

/// Numbers that are the same everywhere: a multiplicative congruential generator (Knuth's constants), its high bits.
private struct SampleNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next(below limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(truncatingIfNeeded: state >> 33) % limit
    }

    mutating func pick(_ words: [String]) -> String { words[next(below: words.count)] }
}
