// Large bodies: read as a whole and returned, returned while they come, kept as images, and made while they are sent.

import Hummingbird
import NIOCore

struct BodyRoutes {
    let images: ImageCache

    func add(to router: Router<ServerContext>) {
        // The whole body in one buffer, which is the answer.
        router.post("bodies") { request, context in
            Self.bytes(try await request.body.collect(upTo: context.maxUploadSize))
        }
        // Never more of it in memory than what is on the way.
        router.post("bodies/stream") { request, _ in
            Response(status: .ok, headers: Self.headers, body: ResponseBody(asyncSequence: request.body))
        }
        router.get("bodies/:size", use: generate)
        router.put("images/:name") { request, context in
            let image = try await request.body.collect(upTo: context.maxUploadSize)
            guard images.store(image, as: try context.parameters.require("name")) else {
                throw HTTPError(.contentTooLarge, message: "the image is larger than what is kept of all of them")
            }
            return HTTPResponse.Status.created
        }
        router.get("images/:name") { _, context in
            guard let image = images.image(try context.parameters.require("name")) else { throw HTTPError(.notFound) }
            return Self.bytes(image)
        }
    }

    /// So many bytes, in pieces of 64 KiB, each a buffer of its own: a report that is written as it is sent.
    private func generate(_ request: Request, _ context: ServerContext) throws -> Response {
        let size = try context.parameters.require("size", as: Int.self)
        guard (0...1 << 30).contains(size) else { throw HTTPError(.badRequest, message: "at most 1 GiB") }
        let body = ResponseBody(contentLength: size) { writer in
            var left = size
            while left > 0 {
                let count = min(left, 64 << 10)
                try await writer.write(ByteBuffer(repeating: UInt8(ascii: "x"), count: count))
                left -= count
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: Self.headers, body: body)
    }

    private static let headers: HTTPFields = [.contentType: "application/octet-stream"]

    private static func bytes(_ buffer: ByteBuffer) -> Response {
        Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: buffer))
    }
}
