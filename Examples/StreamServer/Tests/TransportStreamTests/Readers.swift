// Small things that several tests need.

import Mallow
import TransportStream

func makeReader(_ bytes: [UInt8]) -> SegmentedReader { SegmentedReader(SegmentedBuffer(copying: bytes)) }

/// The header of a stream's first packet.
func firstHeader(_ bytes: [UInt8]) -> PacketHeader {
    PacketHeader(bits: bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
}
