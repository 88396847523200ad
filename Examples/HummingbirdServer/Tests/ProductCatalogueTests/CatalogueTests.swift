import Foundation
import ProductCatalogue
import Testing

@Suite struct CatalogueTests {
    private func draft(_ name: String, tags: [String] = []) -> ProductDraft {
        ProductDraft(name: name, summary: "", price: 1, tags: tags, attributes: [:])
    }

    @Test func createdProductsAreRead() throws {
        let catalogue = Catalogue(capacity: 10)
        let lamp = catalogue.create(.sample(1))
        #expect(catalogue.product(lamp.id) == lamp)
        #expect(catalogue.product(lamp.id + 1) == nil)
        let other = try #require(catalogue.replace(lamp.id, with: .sample(2)))
        #expect(other.id == lamp.id && other.createdAt == lamp.createdAt && other.name == ProductDraft.sample(2).name)
        #expect(catalogue.product(lamp.id) == other)
        #expect(catalogue.remove(lamp.id) && !catalogue.remove(lamp.id))
        #expect(catalogue.replace(lamp.id, with: .sample(3)) == nil && catalogue.count == 0)
        catalogue.checkInvariants()
    }

    @Test func theNewestReviewsAreKept() throws {
        let catalogue = Catalogue(capacity: 1)
        let id = catalogue.create(draft("mug")).id
        for number in 1...7 { _ = catalogue.review(id, Review(author: "\(number)", stars: 5, text: "")) }
        let reviewed = try #require(catalogue.replace(id, with: draft("cup")))
        #expect(reviewed.reviews.map(\.author) == ["3", "4", "5", "6", "7"])
        #expect(catalogue.review(id + 1, Review(author: "x", stars: 1, text: "")) == nil)
        #expect(Review(author: "x", stars: 0, text: "").complaint != nil)
        catalogue.checkInvariants()
    }

    @Test func listsGoOnAfterAnID() {
        let catalogue = Catalogue(capacity: 100)
        for number in 1...9 { _ = catalogue.create(.sample(number)) }
        #expect(catalogue.remove(5))
        #expect(catalogue.list().map(\.id) == [1, 2, 3, 4, 6, 7, 8, 9])
        #expect(catalogue.list(after: 3, limit: 2).map(\.id) == [4, 6])
        #expect(catalogue.list(after: 5, limit: 1).map(\.id) == [6])
        #expect(catalogue.list(after: 9).isEmpty && catalogue.list(after: .max).isEmpty)
        #expect(catalogue.list(limit: 0).isEmpty)
    }

    @Test func searchesFindAllWords() {
        let catalogue = Catalogue(capacity: 3)
        _ = catalogue.create(draft("Quiet oak chair"))
        let second = catalogue.create(draft("Oak-table", tags: ["Classic"]))
        let third = catalogue.create(draft("oak chair, classic"))
        #expect(catalogue.search("oak", limit: 2).map(\.id) == [third.id, second.id])
        #expect(catalogue.search("CLASSIC table", limit: 9) == [second])
        #expect(catalogue.search("oak lamp", limit: 9).isEmpty && catalogue.search(" ,", limit: 9).isEmpty)
        // The first goes, and its words with it.
        _ = catalogue.create(draft("Kettle"))
        #expect(catalogue.search("quiet", limit: 9).isEmpty && catalogue.count == 3)
        catalogue.checkInvariants()
    }

    @Test func agreesWithAModelWhateverIsDone() {
        var generator = Numbers(state: 7)
        let catalogue = Catalogue(capacity: 40)
        var model: [Product] = []
        for step in 0..<2000 {
            let number = Int.random(in: 0..<60, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1:
                if model.count == 40 { model.removeFirst() }
                model.append(catalogue.create(.sample(number)))
            case 2 where !model.isEmpty:
                let place = number % model.count
                let new = catalogue.replace(model[place].id, with: .sample(step))
                #expect(new != nil)
                if let new { model[place] = new }
            default:
                let id = model.isEmpty ? number : model[number % model.count].id
                #expect(catalogue.remove(id) == model.contains { $0.id == id })
                model.removeAll { $0.id == id }
            }
            if step % 20 == 0 {
                catalogue.checkInvariants()
                #expect(catalogue.list() == model)
            }
        }
    }

    @Test func draftsAreChecked() {
        #expect(ProductDraft.sample(12).complaint == nil && ProductDraft.sample(12) == .sample(12))
        #expect(draft("").complaint != nil && draft(String(repeating: "x", count: 201)).complaint != nil)
        var expensive = draft("x")
        expensive.price = -1
        #expect(expensive.complaint != nil)
    }
}

/// The same numbers on every run (splitmix64).
private struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
