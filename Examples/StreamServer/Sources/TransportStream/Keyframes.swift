// Whether a keyframe begins in a packet that does not say so itself. Most multiplexers set the random access flag; for
// those that never do, the beginning of the PES packet tells, where the codec is known:
//
//     PES packet   00 00 01  stream id:8  length:16  flags:16  header length:8  header  video …
//     video        … 00 00 01  start code:8 …                 (H.264 and H.265: the start code is a NAL unit's header)

extension TransportParser {
    /// Whether video with a keyframe begins in the payload of `payloadCount` bytes, with which a PES packet begins.
    @inlinable
    mutating func startsKeyframe<Reader: PacketReader>(
        _ inside: inout Reader, _ payloadCount: Int, _ kind: StreamKind
    ) throws(Reader.Failure) -> Bool {
        guard payloadCount >= 9, try inside.readUInt32() >> 8 == 1 else {
            seen.malformed &+= 1
            return false
        }
        try inside.skip(4)
        let headerCount = Int(try inside.readByte())
        var left = payloadCount - 9 - headerCount
        // A header that goes on in the next packet leaves nothing to look at.
        guard left > 0 else { return false }
        try inside.skip(headerCount)
        var lastBytes: UInt32 = 0xFFFF_FFFF
        while left > 0 {
            lastBytes = lastBytes << 8 | UInt32(try inside.readByte())
            left &-= 1
            if lastBytes >> 8 == 1, isKeyframe(startCode: UInt8(truncatingIfNeeded: lastBytes), kind) { return true }
        }
        return false
    }

    @usableFromInline
    func isKeyframe(startCode: UInt8, _ kind: StreamKind) -> Bool {
        switch kind {
        // A sequence header.
        case .mpegVideo: startCode == 0xB3
        // A slice of an IDR picture, or a sequence parameter set.
        case .h264: startCode & 0x1F == 5 || startCode & 0x1F == 7
        // Pictures that a decoder can start with, or a sequence parameter set.
        case .h265: (16...21).contains(startCode >> 1 & 0x3F) || startCode >> 1 & 0x3F == 33
        case .otherVideo, .audio, .other: false
        }
    }
}
