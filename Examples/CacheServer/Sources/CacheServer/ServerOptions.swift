// What the server is started with, and what is wrong with it.

import CacheStore

struct ServerOptions: Sendable {
    var port = 11211
    var address = "127.0.0.1"
    var threads = 4
    var connections = 1024
    var verbosity = 0
    var store = CacheConfiguration()
}

/// A wrong option: one line.
struct OptionError: Error, CustomStringConvertible {
    let description: String
}

/// A number of bytes such as 512k or 2m.
func byteCount(_ text: String) -> Int? {
    let factor: Int
    switch text.last {
    case "k", "K": factor = 1 << 10
    case "m", "M": factor = 1 << 20
    default: factor = 1
    }
    guard let number = Int(factor == 1 ? text[...] : text.dropLast()), number >= 0 else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
}
