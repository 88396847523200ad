// A product as clients see it and as the catalogue keeps it: strings, arrays and a dictionary, some 650 bytes as JSON
// and a hundred more for each review.

import Foundation

/// What a client says of a product that it creates or replaces.
public struct ProductDraft: Codable, Sendable, Equatable {
    public var name: String
    public var summary: String
    /// In cents.
    public var price: Int
    public var tags: [String]
    public var attributes: [String: String]

    public init(name: String, summary: String, price: Int, tags: [String], attributes: [String: String]) {
        (self.name, self.summary, self.price) = (name, summary, price)
        (self.tags, self.attributes) = (tags, attributes)
    }

    /// What is wrong with it, if anything is: a sentence for the client.
    public var complaint: String? {
        if name.isEmpty { return "a product needs a name" }
        if name.utf8.count > 200 { return "a name has at most 200 bytes" }
        if summary.utf8.count > 10_000 { return "a summary has at most 10000 bytes" }
        if price < 0 { return "a price is not below 0" }
        if tags.count > 50 || attributes.count > 50 { return "a product has at most 50 tags and 50 attributes" }
        return nil
    }
}

/// What a client says of a product that it has bought.
public struct Review: Codable, Sendable, Equatable {
    public let author: String
    /// From 1 to 5.
    public let stars: Int
    public let text: String

    public init(author: String, stars: Int, text: String) {
        (self.author, self.stars, self.text) = (author, stars, text)
    }

    /// What is wrong with it, if anything is: a sentence for the client.
    public var complaint: String? {
        if author.isEmpty || author.utf8.count > 100 { return "an author has from 1 to 100 bytes" }
        if !(1...5).contains(stars) { return "from 1 to 5 stars" }
        return text.utf8.count > 2000 ? "a text has at most 2000 bytes" : nil
    }
}

public struct Product: Codable, Sendable, Equatable {
    /// Given by the catalogue, each once.
    public let id: Int
    public var name: String
    public var summary: String
    /// In cents.
    public var price: Int
    public var tags: [String]
    public var attributes: [String: String]
    /// The newest, in the order in which they came.
    public var reviews: [Review]
    public let createdAt: Date
    public var updatedAt: Date

    static let mostReviews = 5

    init(id: Int, draft: ProductDraft, reviews: [Review] = [], createdAt: Date, updatedAt: Date) {
        self.id = id
        (name, summary, price) = (draft.name, draft.summary, draft.price)
        (tags, attributes) = (draft.tags, draft.attributes)
        (self.reviews, self.createdAt, self.updatedAt) = (reviews, createdAt, updatedAt)
    }

    /// The words that a search finds it by: those of its name, and its tags, in lower case.
    var words: Set<String> {
        var words = Set(tags.map { $0.lowercased() })
        for word in name.split(whereSeparator: { !$0.isLetter && !$0.isNumber }) { words.insert(word.lowercased()) }
        return words
    }
}
