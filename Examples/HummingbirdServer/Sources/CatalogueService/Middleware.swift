// What happens to every request: how large its body may be, its id, its place in the counters.

import Dispatch
import HTTPTypes
import Hummingbird

/// What a request carries on its way.
struct ServerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Bodies that are read as a whole are refused beyond this, with status 413.
    var maxUploadSize = 2 << 20

    init(source: Source) { coreContext = .init(source: source) }
}

struct BodyLimitMiddleware: RouterMiddleware {
    let limit: Int

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.maxUploadSize = limit
        return try await next(request, context)
    }
}

/// Answers with the request's id: the client's own, or the one that the log has.
struct RequestIDMiddleware: RouterMiddleware {
    static let header = HTTPField.Name("X-Request-Id").unsafelyUnwrapped

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let id = request.headers[Self.header] ?? context.id
        var context = context
        context.logger[metadataKey: "request.id"] = .string(id)
        var response: Response
        do {
            response = try await next(request, context)
        } catch let error as any HTTPResponseError {
            // What went wrong has an id, too.
            response = try error.response(from: request, context: context)
        }
        response.headers[Self.header] = id
        return response
    }
}

struct CountingMiddleware: RouterMiddleware {
    let counters: RequestCounters

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let start = DispatchTime.now().uptimeNanoseconds
        func count(_ status: Int) {
            // Known once the router has been there; what matched nothing is one line.
            let endpoint = context.endpointPath.map { "\(request.method) \($0)" } ?? "none"
            counters.count(endpoint, status: status, nanoseconds: DispatchTime.now().uptimeNanoseconds - start)
        }
        do {
            let response = try await next(request, context)
            count(response.status.code)
            return response
        } catch {
            count((error as? any HTTPResponseError)?.status.code ?? 500)
            throw error
        }
    }
}
