// A Swift program like many on a server: task groups, actors, async streams, JSON coding, Data, strings, dates and
// dictionaries, on as many threads as there are. What it prints depends on nothing but its input.

import Foundation

struct Order: Codable, Hashable, Sendable {
    struct Line: Codable, Hashable, Sendable {
        let article: String
        let count: Int
        let price: Double
    }
    let number: Int
    let customer: String
    let lines: [Line]
    let notes: [String: String]

    init(_ number: Int) {
        self.number = number
        customer = "customer \(number % 97) " + String(repeating: "ä", count: number % 40)
        lines = (0..<number % 9).map { Line(article: "article \($0 * number)", count: $0, price: Double($0) / 4) }
        notes = ["made": "\(number)", "long": String(repeating: "note ", count: number % 60)]
    }
}

actor Ledger {
    private var totals: [String: Double] = [:]
    private var seen: Set<Int> = []
    private var archive: [Data] = []

    func enter(_ order: Order, _ data: Data) {
        guard seen.insert(order.number).inserted else { return }
        totals[order.customer, default: 0] += order.lines.reduce(0) { $0 + Double($1.count) * $1.price }
        archive.append(data)
        if archive.count > 200 { archive.removeFirst(150) }
    }

    var summary: String {
        let sorted = totals.sorted { ($0.value, $0.key) > ($1.value, $1.key) }
        let top = sorted.prefix(3).map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        return "\(seen.count) orders, \(totals.count) customers, \(top)"
    }
}

final class Link {
    var next: Link?
    let payload: [UInt8]
    init(_ next: Link?, _ size: Int) {
        self.next = next
        payload = [UInt8](repeating: UInt8(truncatingIfNeeded: size), count: size)
    }
}

func checksum(_ data: some Sequence<UInt8>) -> UInt64 {
    data.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
}

func coded(_ numbers: Range<Int>, into ledger: Ledger) async throws -> UInt64 {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    var sum: UInt64 = 0
    for number in numbers {
        let order = Order(number)
        let data = try encoder.encode(order)
        let again = try JSONDecoder().decode(Order.self, from: data)
        guard again == order else { throw CocoaError(.coderReadCorrupt) }
        await ledger.enter(again, data)
        sum &+= checksum(data)
    }
    return sum
}

func chained(_ length: Int) -> Int {
    var first: Link?
    for index in 0..<length { first = Link(first, index % 500) }
    var total = 0
    while let link = first {
        total += link.payload.count
        first = link.next
    }
    return total
}

@main
enum Concurrency {
    static func main() async throws {
        let ledger = Ledger()
        let sums = try await withThrowingTaskGroup(of: UInt64.self) { group in
            for part in 0..<60 {
                group.addTask { try await coded(part * 50..<part * 50 + 60, into: ledger) }
            }
            return try await group.reduce(into: 0 as UInt64) { $0 &+= $1 }
        }
        print(sums)
        print(await ledger.summary)

        let (stream, continuation) = AsyncStream<[String]>.makeStream()
        let producers = Task.detached {
            await withTaskGroup(of: Void.self) { group in
                for producer in 0..<8 {
                    group.addTask {
                        for batch in 0..<100 {
                            continuation.yield((0..<20).map { "producer \(producer) batch \(batch) item \($0)" })
                            await Task.yield()
                        }
                    }
                }
            }
            continuation.finish()
        }
        var words: [Substring: Int] = [:]
        for await batch in stream {
            for text in batch {
                for word in text.split(separator: " ") { words[word, default: 0] += 1 }
            }
        }
        await producers.value
        print(words.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(5).map { "\($0.key):\($0.value)" })

        let chains = await withTaskGroup(of: Int.self) { group in
            for length in 1...40 { group.addTask { chained(length * 50) } }
            return await group.reduce(0, +)
        }
        print(chains)

        var data = Data()
        for number in 0..<20_000 { data.append(contentsOf: "\(number),".utf8) }
        let base64 = data.base64EncodedString()
        print(data.count, checksum(base64.utf8), Data(base64Encoded: base64) == data)
        let text = String(decoding: data, as: UTF8.self)
        let replaced = text.replacingOccurrences(of: "99", with: "neunundneunzig")
        print(text.components(separatedBy: ",").count, replaced.count)
        let dates = (0..<200).map { Date(timeIntervalSince1970: Double($0) * 1e7) }
        print(checksum(dates.map { $0.formatted(.iso8601) }.joined().utf8))
        exit(4)
    }
}
