// A transport stream is packets of 188 bytes (ISO/IEC 13818-1, 2.4.3):
//
//     byte 0   0x47
//     byte 1   error:1  start of a unit:1  priority:1  PID:5, the high bits
//     byte 2   PID:8, the low bits
//     byte 3   scrambling:2  adaptation field:1  payload:1  continuity counter:4
//     then     the adaptation field, if any: its length, flags (discontinuity 0x80, random access 0x40), …
//     then     the payload: a part of a PES packet (video, audio) or of a section (a table)

/// What a packet begins with.
public let syncByte: UInt8 = 0x47

/// The size of a packet in bytes.
public let packetSize = 188

/// The first four bytes of a packet.
@frozen
public struct PacketHeader: Equatable, Sendable {
    /// The four bytes, big-endian.
    public let bits: UInt32

    @inlinable @inline(__always)
    public init(bits: UInt32) { self.bits = bits }

    @inlinable @inline(__always)
    public var isInSync: Bool { bits >> 24 == UInt32(syncByte) }
    /// Whether somebody on the way has found the packet to be damaged.
    @inlinable @inline(__always)
    public var isDamaged: Bool { bits & 0x80_0000 != 0 }
    /// Whether a PES packet, or a section, begins in the payload.
    @inlinable @inline(__always)
    public var startsUnit: Bool { bits & 0x40_0000 != 0 }
    /// Which of the streams within the stream the packet belongs to.
    @inlinable @inline(__always)
    public var pid: Int { Int(bits >> 8 & 0x1FFF) }
    @inlinable @inline(__always)
    public var isScrambled: Bool { bits & 0xC0 != 0 }
    @inlinable @inline(__always)
    public var hasAdaptationField: Bool { bits & 0x20 != 0 }
    @inlinable @inline(__always)
    public var hasPayload: Bool { bits & 0x10 != 0 }
    /// Counts the packets with payload of one PID, from 0 to 15 and again from 0.
    @inlinable @inline(__always)
    public var continuityCounter: UInt8 { UInt8(truncatingIfNeeded: bits & 0x0F) }
}

/// The PIDs with a meaning of their own.
public enum KnownPID {
    /// The program association table: which programs there are, and where their maps are.
    public static let associations = 0
    /// Stuffing.
    public static let null = 0x1FFF
    /// How many there can be.
    public static let count = 0x2000
}

/// What a packet is to somebody who forwards it.
public struct TransportPacket: Equatable, Sendable {
    public enum Table: Equatable, Sendable {
        /// A part of the program association table.
        case associations
        /// A part of a program's map.
        case programMap
    }

    public var header: PacketHeader
    /// The table that the packet is a part of; nil for video, audio and all else.
    public var table: Table?
    /// Whether a decoder that has the tables can start here: a keyframe begins, or a unit of audio where there is no
    /// video.
    public var isAccessPoint: Bool

    @inlinable @inline(__always)
    public init(header: PacketHeader, table: Table? = nil, isAccessPoint: Bool = false) {
        self.header = header
        self.table = table
        self.isAccessPoint = isAccessPoint
    }
}

/// What the parser found next.
public enum TransportStep: Equatable, Sendable {
    /// A packet: the 188 bytes before the reader's position.
    case packet(TransportPacket)
    /// Bytes that are no packets, this many before the reader's position.
    case skipped(Int)
    /// Too few bytes to tell: the reader has not moved, and wants more.
    case needsMore
}
