// What the server is started with, and what is wrong with it.

import StreamRelay

struct ServerOptions: Sendable {
    var port: UInt16 = 8554
    var address = "127.0.0.1"
    /// How much is read at once.
    var readSize = 64 << 10
    /// How long somebody may neither send nor take anything, in milliseconds.
    var timeout = 30_000
    var connections = 1024
    /// What a publisher publishes who sends packets without a word.
    var unnamed = "live"
    var limits = RelayLimits()
}

/// The buffers that the packets are in.
enum BufferKind: String, CaseIterable, Sendable {
    case mallow, array, bytebuffer, copies
}

/// A wrong option: one line.
struct OptionError: Error, CustomStringConvertible {
    let description: String
}

/// A number of bytes such as 512k or 2m.
func byteCount(_ text: String) -> Int? {
    let shift: Int
    switch text.last {
    case "k", "K": shift = 10
    case "m", "M": shift = 20
    default: shift = 0
    }
    guard let number = Int(shift == 0 ? text[...] : text.dropLast()), number >= 0 else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
    return overflow ? nil : product
}
