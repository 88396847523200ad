// The JSON API: products created, read, replaced, reviewed, removed, listed, searched, exported and imported.
// Hummingbird's own way of JSON: Foundation's coders, one for each request.

import Foundation
import Hummingbird
import ProductCatalogue

extension Product: ResponseEncodable {}

struct ProductPage: ResponseCodable {
    let products: [Product]
    /// What to say for `after` to get the next page; nil at the end.
    let next: Int?
}

struct SearchAnswer: ResponseCodable {
    let query: String
    let products: [Product]
}

struct ImportAnswer: ResponseCodable {
    let created: Int
}

struct ProductRoutes {
    let catalogue: Catalogue

    func add(to router: Router<ServerContext>) {
        router.group("products")
            .get(use: list)
            .post(use: create)
            .get("export") { _, _ in catalogue.list() }
            .post("import", use: importAll)
            .get(":id", use: read)
            .put(":id", use: replace)
            .delete(":id", use: remove)
            .post(":id/reviews", use: review)
        router.get("search", use: search)
    }

    private func list(_ request: Request, _ context: ServerContext) throws -> ProductPage {
        let limit = try Self.limit(request)
        let after = try Self.number("after", request) ?? 0
        let products = catalogue.list(after: after, limit: limit)
        return ProductPage(products: products, next: products.count == limit ? products.last?.id : nil)
    }

    private func search(_ request: Request, _ context: ServerContext) throws -> SearchAnswer {
        guard let text = request.uri.queryParameters.get("q") else {
            throw HTTPError(.badRequest, message: "what to search for: ?q=")
        }
        return SearchAnswer(query: text, products: catalogue.search(text, limit: try Self.limit(request)))
    }

    private func create(_ request: Request, _ context: ServerContext) async throws -> EditedResponse<Product> {
        let product = catalogue.create(try await draft(request, context))
        return EditedResponse(status: .created, headers: [.location: "/products/\(product.id)"], response: product)
    }

    private func importAll(_ request: Request, _ context: ServerContext) async throws -> ImportAnswer {
        let drafts = try await request.decode(as: [ProductDraft].self, context: context)
        for draft in drafts { try Self.check(draft) }
        for draft in drafts { _ = catalogue.create(draft) }
        return ImportAnswer(created: drafts.count)
    }

    private func read(_ request: Request, _ context: ServerContext) throws -> Product {
        guard let product = catalogue.product(try Self.id(context)) else { throw HTTPError(.notFound) }
        return product
    }

    private func replace(_ request: Request, _ context: ServerContext) async throws -> Product {
        let id = try Self.id(context)
        let draft = try await draft(request, context)
        guard let product = catalogue.replace(id, with: draft) else { throw HTTPError(.notFound) }
        return product
    }

    private func review(_ request: Request, _ context: ServerContext) async throws -> EditedResponse<Product> {
        let id = try Self.id(context)
        let review = try await request.decode(as: Review.self, context: context)
        if let complaint = review.complaint { throw HTTPError(.unprocessableContent, message: complaint) }
        guard let product = catalogue.review(id, review) else { throw HTTPError(.notFound) }
        return EditedResponse(status: .created, response: product)
    }

    private func remove(_ request: Request, _ context: ServerContext) throws -> HTTPResponse.Status {
        guard catalogue.remove(try Self.id(context)) else { throw HTTPError(.notFound) }
        return .noContent
    }

    private func draft(_ request: Request, _ context: ServerContext) async throws -> ProductDraft {
        let draft = try await request.decode(as: ProductDraft.self, context: context)
        try Self.check(draft)
        return draft
    }

    private static func check(_ draft: ProductDraft) throws {
        if let complaint = draft.complaint { throw HTTPError(.unprocessableContent, message: complaint) }
    }

    private static func id(_ context: ServerContext) throws -> Int {
        try context.parameters.require("id", as: Int.self)
    }

    private static func limit(_ request: Request) throws -> Int {
        let limit = try number("limit", request) ?? 20
        guard (1...1000).contains(limit) else { throw HTTPError(.badRequest, message: "limit is from 1 to 1000") }
        return limit
    }

    /// A parameter of the query, nil where it isn't there.
    private static func number(_ name: String, _ request: Request) throws -> Int? {
        guard let text = request.uri.queryParameters.get(name) else { return nil }
        guard let number = Int(text), number >= 0 else { throw HTTPError(.badRequest, message: "\(name) is a number") }
        return number
    }
}
