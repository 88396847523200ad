// Large bodies that stay for a while: images by name, the oldest dropped when they are more than the limit.
//
// Thread-safe: one lock; the bytes are shared with the answers that are being sent, not copied.

import Hummingbird
import NIOCore
import Synchronization

final class ImageCache: Sendable {
    private struct State {
        var images: [String: ByteBuffer] = [:]
        /// The names, the one that was stored first in front.
        var order: [String] = []
        var byteCount = 0

        mutating func remove(_ name: String) {
            guard let image = images.removeValue(forKey: name) else { return }
            order.removeAll { $0 == name }
            byteCount -= image.readableBytes
        }
    }

    private let state = Mutex(State())
    private let limit: Int

    /// Keeps at most `limit` bytes.
    init(limit: Int) { self.limit = limit }

    /// Whether it was kept: an image that is larger than the limit is not.
    func store(_ image: ByteBuffer, as name: String) -> Bool {
        state.withLock { state in
            state.remove(name)
            guard image.readableBytes <= limit else { return false }
            while state.byteCount + image.readableBytes > limit { state.remove(state.order[0]) }
            state.images[name] = image
            state.order.append(name)
            state.byteCount += image.readableBytes
            return true
        }
    }

    func image(_ name: String) -> ByteBuffer? { state.withLock { $0.images[name] } }

    var byteCount: Int { state.withLock { $0.byteCount } }
}
