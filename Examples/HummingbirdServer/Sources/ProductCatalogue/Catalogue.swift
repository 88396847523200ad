// The products that the server keeps: created, read, replaced, removed, listed, searched.
//
// Where the catalogue is full, creating a product removes the oldest: what is live stays about the same however many
// products a load creates, which is what makes the memory of two runs comparable.
//
// Thread-safe: one lock around the state; products are copied out of it and encoded outside.

import Foundation
import Synchronization

public final class Catalogue: Sendable {
    private let state = Mutex(CatalogueState())
    public let capacity: Int

    /// An empty catalogue that keeps at most `capacity` products, at least 1.
    public init(capacity: Int) {
        precondition(capacity >= 1, "a catalogue keeps at least 1 product")
        self.capacity = capacity
    }

    public var count: Int { state.withLock { $0.ids.count } }

    /// Adds a product; where the catalogue is full, the oldest goes. O(products) for moving ids, besides the words.
    public func create(_ draft: ProductDraft, at date: Date = .now) -> Product {
        state.withLock { state in
            if state.ids.count == capacity { state.remove(state.ids[0]) }
            return state.insert { Product(id: $0, draft: draft, createdAt: date, updatedAt: date) }
        }
    }

    /// The product, or nil where there is none.
    public func product(_ id: Int) -> Product? { state.withLock { $0.products[id] } }

    /// What the draft says, under the old id; nil where there is no such product.
    public func replace(_ id: Int, with draft: ProductDraft, at date: Date = .now) -> Product? {
        state.withLock { state in
            guard let old = state.products[id] else { return nil }
            let product = Product(
                id: id, draft: draft, reviews: old.reviews, createdAt: old.createdAt, updatedAt: date)
            state.replace(old, by: product)
            return product
        }
    }

    /// Adds a review; a product keeps the newest five. The product as it is then; nil where there is no such product.
    public func review(_ id: Int, _ review: Review, at date: Date = .now) -> Product? {
        state.withLock { state in
            guard let old = state.products[id] else { return nil }
            var product = old
            if product.reviews.count == Product.mostReviews { product.reviews.removeFirst() }
            product.reviews.append(review)
            product.updatedAt = date
            state.replace(old, by: product)
            return product
        }
    }

    /// Whether there was one to remove.
    public func remove(_ id: Int) -> Bool { state.withLock { $0.remove(id) } }

    /// At most `limit` products with ids above `after`, by id.
    public func list(after: Int = 0, limit: Int = .max) -> [Product] {
        state.withLock { state in
            let ids = state.ids[state.position(of: after)...].drop { $0 == after }
            return ids.prefix(max(0, limit)).compactMap { state.products[$0] }
        }
    }

    /// The newest of those that have all words of `text`, at most `limit`. O(products that have the rarest word).
    public func search(_ text: String, limit: Int) -> [Product] {
        let words = text.lowercased().split(whereSeparator: { !$0.isLetter && !$0.isNumber }).map(String.init)
        return state.withLock { state in
            let sets = words.map { state.idsByWord[$0] ?? [] }.sorted { $0.count < $1.count }
            guard let rarest = sets.first else { return [] }
            let found = rarest.filter { id in sets.dropFirst().allSatisfy { $0.contains(id) } }
            return found.sorted(by: >).prefix(max(0, limit)).compactMap { state.products[$0] }
        }
    }

    /// Tests call it after every step.
    public func checkInvariants() { state.withLock { $0.checkInvariants() } }
}
