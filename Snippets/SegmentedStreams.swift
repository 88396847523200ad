// Packets of MQTT out of a stream that comes in pieces of any size: nothing is put together first, a payload is passed
// on without copying it, and what was read is dropped from the front.

import Mallow

struct Message {
    let topic: String
    let payload: SegmentedBuffer
}

/// Reads a packet, all of it or nothing: where the stream has not brought its end yet, that is `endOfData`.
func readPacket(_ reader: inout SegmentedReader) throws(SegmentedReadError) -> Message? {
    try reader.attempt { (reader) throws(SegmentedReadError) in
        let (header, kind) = try reader.readByte(mask: 0xF0)
        let length = try reader.readLengthPrefix(.leb128, limit: 1 << 20)
        var body = SegmentedReader(try reader.readSegments(length))
        guard kind == 3 else { return nil }
        let topic = try body.readString(lengthPrefix: .twoBytes)
        if header & 0b0110 != 0 { try body.skip(2) }
        return Message(topic: topic, payload: try body.readSegments(body.remaining))
    }
}

/// What a client would send: a ping, and messages of which one is longer than a piece.
func stream() throws -> SegmentedBuffer {
    var writer = SegmentedWriter()
    writer.writeBytes([0xC0, 0])
    for (topic, payload) in [("door/1", "open"), ("log", String(repeating: "all is well. ", count: 40))] {
        writer.writeByte(0x30)
        writer.writeLEB128(UInt32(2 + topic.utf8.count + payload.utf8.count))
        try writer.writeString(topic, lengthPrefix: .twoBytes)
        writer.writeString(payload)
    }
    return try writer.finish()
}

let bytes = try stream()
var reader = SegmentedReader(SegmentedBuffer())
var messages: [Message] = []
var dropped = 0

// 100 bytes at a time, as a socket might bring them.
for start in stride(from: 0, to: bytes.count, by: 100) {
    reader.append(bytes[start..<min(start + 100, bytes.count)])
    do {
        while !reader.isAtEnd {
            if let message = try readPacket(&reader) { messages.append(message) }
        }
    } catch SegmentedReadError.endOfData {
        // The rest comes later, and the packet is read from its start again.
    }
    dropped += reader.clipFront()
}

for message in messages {
    print("\(message.topic): \(message.payload.count) bytes in \(message.payload.segmentCount) segments")
}
guard messages.count == 2, messages[1].payload.count == 520, dropped == bytes.count else {
    fatalError("a packet is missing")
}
guard messages[0].payload == Array("open".utf8) else { fatalError("not what was sent") }
