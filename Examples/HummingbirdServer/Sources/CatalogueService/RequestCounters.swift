// How many requests each endpoint has answered, with which status, and how long they took: what GET /metrics shows.
//
// Thread-safe: one lock, held for one step in a dictionary.

import Synchronization

final class RequestCounters: Sendable {
    private struct Key: Hashable, Comparable {
        let endpoint: String
        let status: Int

        static func < (left: Key, right: Key) -> Bool {
            (left.endpoint, left.status) < (right.endpoint, right.status)
        }
    }
    private struct Counter {
        var requests = 0
        var nanoseconds: UInt64 = 0
    }

    private let counters = Mutex<[Key: Counter]>([:])

    func count(_ endpoint: String, status: Int, nanoseconds: UInt64) {
        counters.withLock { counters in
            counters[Key(endpoint: endpoint, status: status), default: Counter()].requests += 1
            counters[Key(endpoint: endpoint, status: status)]?.nanoseconds += nanoseconds
        }
    }

    /// In the text format that monitoring systems read.
    var text: String {
        var text = ""
        for (key, counter) in counters.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            let labels = "{endpoint=\"\(key.endpoint)\",status=\"\(key.status)\"}"
            text += "http_requests_total\(labels) \(counter.requests)\n"
            text += "http_request_seconds_total\(labels) \(Double(counter.nanoseconds) / 1e9)\n"
        }
        return text
    }
}
