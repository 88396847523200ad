// The two tables that a decoder needs (ISO/IEC 13818-1, 2.4.4): the program association table names the PIDs of the
// programs' maps, and a map names the PIDs of the program's streams and what they are.
//
//  section   table id:8  syntax:1 …  length:12  id:16  …version:5 current:1  number:8  last number:8  body  checksum:32
//  PAT body  (program number:16  …PID:13)*
//  PMT body  …PCR PID:13  …info length:12  info  (type:8  …PID:13  …info length:12  info)*

/// What a stream within a program is.
public enum StreamKind: Equatable, Sendable {
    case mpegVideo, h264, h265, otherVideo, audio, other

    init(streamType: UInt8) {
        switch streamType {
        case 0x01, 0x02: self = .mpegVideo
        case 0x1B: self = .h264
        case 0x24: self = .h265
        case 0x10, 0x21, 0x33, 0x42, 0xD1, 0xD2, 0xEA: self = .otherVideo
        case 0x03, 0x04, 0x0F, 0x11, 0x1C, 0x81, 0x87: self = .audio
        default: self = .other
        }
    }

    /// Whether keyframes of it are where a decoder can start.
    public var isVideo: Bool {
        switch self {
        case .mpegVideo, .h264, .h265, .otherVideo: true
        case .audio, .other: false
        }
    }
}

/// A section of a table, whose checksum is right.
struct TableSection {
    enum Fault: Error { case malformed, checksum }

    let tableID: UInt8
    let version: UInt8
    let isCurrent: Bool
    let number: UInt8
    /// The bytes between the header and the checksum.
    let body: ArraySlice<UInt8>

    init(_ bytes: borrowing [UInt8]) throws(Fault) {
        guard bytes.count >= 12, bytes[1] & 0x80 != 0 else { throw .malformed }
        guard SectionChecksum.compute(copy bytes) == 0 else { throw .checksum }
        tableID = bytes[0]
        version = bytes[5] >> 1 & 0x1F
        isCurrent = bytes[5] & 1 != 0
        number = bytes[6]
        body = bytes[8..<bytes.count - 4]
    }

    /// The programs of an association table.
    func programs() throws(Fault) -> [(number: Int, mapPID: Int)] {
        guard body.count % 4 == 0 else { throw .malformed }
        var programs: [(number: Int, mapPID: Int)] = []
        var next = body.startIndex
        while next < body.endIndex {
            let number = integer(at: next)
            // Number 0 says where the network information is.
            if number != 0 { programs.append((number, integer(at: next + 2) & 0x1FFF)) }
            next += 4
        }
        return programs
    }

    /// The streams of a program's map.
    func streams() throws(Fault) -> [(pid: Int, kind: StreamKind)] {
        guard body.count >= 4 else { throw .malformed }
        var next = body.startIndex + 4 + integer(at: body.startIndex + 2) & 0x0FFF
        guard next <= body.endIndex else { throw .malformed }
        var streams: [(pid: Int, kind: StreamKind)] = []
        while next < body.endIndex {
            guard next + 5 <= body.endIndex else { throw .malformed }
            streams.append((integer(at: next + 1) & 0x1FFF, StreamKind(streamType: body[next])))
            next += 5 + integer(at: next + 3) & 0x0FFF
        }
        guard next == body.endIndex else { throw .malformed }
        return streams
    }

    private func integer(at index: Int) -> Int { Int(body[index]) << 8 | Int(body[index + 1]) }
}
