// What a buffer of segments promises, one by one: who owns memory and when it is filled, bytes as a collection,
// equality whatever the segments, parts that are dropped.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct SegmentedBufferTests {
    let ledger = Ledger()

    /// Room that two buffers have is nobody's to fill, also where no bytes of it are asked for.
    @Test func roomOfTwoIsNotFilled() {
        var buffer = SegmentedBuffer(segment([1, 2, 3], capacity: 100))
        var other = buffer
        buffer.append(capacity: 0) { room in
            room.storeBytes(of: 9, as: UInt8.self)
            return 1
        }
        other.append(capacity: 0) { room in
            room.storeBytes(of: 7, as: UInt8.self)
            return 1
        }
        #expect(buffer == [1, 2, 3, 9])
        #expect(other == [1, 2, 3, 7])
        // Bytes that may not be written have no room behind them.
        var constant = SegmentedBuffer(Segment(sharing: [1, 2, 3]))
        constant.append(capacity: 0) { _ in 0 }
        #expect(constant == [1, 2, 3])
    }

    private func segment(_ bytes: [UInt8], capacity: Int = 0) -> Segment {
        bytes.withUnsafeBytes { Segment(copying: $0, capacity: capacity) }
    }

    @Test func memoryGoesBackWithTheLastOwner() throws {
        for kind in 0..<Ledger.kinds {
            var packet: SegmentedBuffer? = SegmentedBuffer(try ledger.segment([1, 2, 3, 4], kind: kind))
            var others = (0..<3).map { _ in SegmentedBuffer() }
            for at in others.indices { others[at].append(packet![at..<4]) }
            packet = nil
            #expect(others[2] == [3, 4])
            others.removeLast()
            #expect(others[1] == [2, 3, 4])
            #expect(kind == 0 || kind >= 5 || !ledger.isSettled)
            others.removeLast()
            others[0].removeFirst(3)
            #expect(others[0] == [4])
            others[0].removeFirst(1)
            #expect(ledger.isSettled)
        }
    }

    @Test func roomIsFilledByItsOnlyOwner() throws {
        var buffer = SegmentedBuffer(segment([1, 2], capacity: 64))
        let place = buffer[segment: 0].unsafeBytes.baseAddress
        buffer.append(copying: [3, 4])
        #expect(buffer.segmentCount == 1 && buffer[segment: 0].unsafeBytes.baseAddress == place)
        // A copy shares the memory: neither fills it.
        var copy = buffer
        copy.append(copying: [5])
        buffer.append(copying: [6])
        #expect(copy.segmentCount == 2 && buffer.segmentCount == 2)
        #expect(copy == [1, 2, 3, 4, 5] && buffer == [1, 2, 3, 4, 6])
        copy.reset()
        // The last segment is the buffer's alone, and has room.
        buffer.append(7)
        #expect(buffer.segmentCount == 2)
        // What is cut from the end is room again, and from the front, too.
        buffer.removeLast(2)
        #expect(buffer.segmentCount == 1)
        buffer.append(copying: [8])
        buffer.removeFirst(2)
        buffer.prepend(copying: [9, 10])
        #expect(buffer.segmentCount == 1 && buffer[segment: 0].unsafeBytes.baseAddress == place)
        #expect(buffer == [9, 10, 3, 4, 8])
        // More than there is room for goes on in a new segment, the room being filled first.
        let many = [UInt8](repeating: 11, count: 100)
        buffer.append(copying: many)
        #expect(buffer.segmentCount == 2 && buffer[segment: 0].count == 64)
    }

    /// What others may read, or what may not be written, is never filled.
    @Test func foreignMemoryIsNotFilled() throws {
        for kind in 3..<Ledger.kinds {
            var buffer = SegmentedBuffer(try ledger.segment([1, 2, 3, 4], kind: kind))
            buffer.removeLast(2)
            buffer.append(copying: [9])
            #expect(buffer.segmentCount == 2)
            buffer.removeFirst(1)
            buffer.prepend(copying: [8])
            #expect(buffer.segmentCount == 3)
            #expect(buffer == [8, 2, 9])
            var alone = 0
            buffer.reset { if $0.isUniquelyOwned() { alone += 1 } }
            #expect(alone == 3)
        }
        // An adopted block is filled to its end.
        let block = try ledger.allocator.allocate(byteCount: 32, alignment: 8)
        var buffer = SegmentedBuffer()
        buffer.push(adopting: block, count: 1, allocator: ledger.allocator)
        block[0] = 5
        buffer.append(copying: [UInt8](repeating: 6, count: block.count - 1))
        #expect(buffer.segmentCount == 1 && block.allSatisfy { $0 == 5 || $0 == 6 })
        buffer.append(7)
        #expect(buffer.segmentCount == 2)
    }

    @Test func segments() {
        var segment = segment([1, 2, 3, 4, 5])
        var isAlone = segment.isUniquelyOwned()
        #expect(isAlone)
        segment.withUnsafeMutableBytes { $0[0] = 9 }
        let part = segment[1..<3]
        isAlone = segment.isUniquelyOwned()
        #expect(!isAlone && part.sharesMemory(with: segment))
        #expect(part[0] == 2 && part.count == 2 && segment[0] == 9)
        #expect(segment.span.byteCount == 5 && segment.span.unsafeLoad(fromByteOffset: 4, as: UInt8.self) == 5)
        var buffer = SegmentedBuffer([part, segment])
        #expect(buffer == [2, 3, 9, 2, 3, 4, 5])
        isAlone = buffer.isUniquelyOwned(segment: 0)
        #expect(!isAlone)
        let old = buffer.replaceSegment(-1, with: self.segment([7]))
        isAlone = buffer.isUniquelyOwned(segment: 1)
        #expect(old.count == 5 && buffer == [2, 3, 7] && isAlone)
        #expect(buffer.span(ofSegment: -1).byteCount == 1)
        buffer.insert(self.segment([0]), at: 1)
        buffer.insert(self.segment([1]), at: 3)
        buffer.insert(self.segment([4]), at: 0)
        buffer.insert(self.segment([]), at: 2)
        #expect(buffer == [4, 2, 3, 0, 7, 1] && buffer.brokenInvariant() == nil)
        #expect(buffer.segments.map(\.count) == [1, 2, 1, 1, 1])
        // Taking all away, from either end.
        while buffer.segmentCount > 0 {
            buffer.replaceSegment(buffer.segmentCount % 2 == 0 ? 0 : -1, with: self.segment([]))
            #expect(buffer.brokenInvariant() == nil)
        }
        #expect(buffer.isEmpty)
    }

    /// One packet, forwarded to many with a header each: nothing of it is copied.
    @Test func forwarding() {
        let packet = SegmentedBuffer(segment([5, 6, 7]))
        let place = packet[segment: 0].unsafeBytes.baseAddress
        var outgoing: [SegmentedBuffer] = []
        for number in 0..<UInt8(10) {
            var copy = packet
            copy.prepend(SegmentedBuffer(copying: [number]))
            outgoing.append(copy)
        }
        for (number, buffer) in outgoing.enumerated() {
            #expect(buffer == [UInt8(number), 5, 6, 7])
            #expect(buffer[segment: 1].unsafeBytes.baseAddress == place)
        }
    }

    @Test func recycling() {
        var buffer = SegmentedBuffer()
        for number in 0..<UInt8(100) { buffer.push(segment([number, number])) }
        let shared = buffer[20..<22]
        var free: [Segment] = []
        buffer.clipFront(41) { segment in
            if segment.isUniquelyOwned() { free.append(segment) }
        }
        #expect(free.count == 19 && buffer.count == 159 && buffer[0] == 20)
        #expect(buffer.brokenInvariant() == nil)
        #expect(shared == [10, 10])
        var rest = 0
        buffer.reset { rest += $0.count }
        #expect(rest == 159 && buffer.isEmpty)
        // A long queue, at whose ends is pushed and taken: the list is no longer than what is in it.
        for round in 0..<10_000 {
            buffer.push(segment([UInt8(truncatingIfNeeded: round), 1]))
            if round >= 50 { buffer.removeFirst(2) }
        }
        #expect(buffer.segmentCount == 50 && buffer.front.count <= 101)
        #expect(buffer.brokenInvariant() == nil)
        buffer.clipEnd(99) { _ in }
        #expect(buffer.count == 1)
    }

    @Test(arguments: [1, 2] as [UInt64]) func bytesAsACollection(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let model = random.bytes(200)
        let buffer = try random.cut(model, ledger)
        let bytes = buffer.bytes
        #expect(Array(bytes) == model)
        #expect(Array(bytes.reversed()) == model.reversed())
        #expect(bytes.count == 200 && bytes.withContiguousStorageIfAvailable { _ in } == nil)
        #expect(buffer.contiguous().bytes.withContiguousStorageIfAvailable { Array($0) } == model)
        var indices = [bytes.startIndex]
        while indices.last! < bytes.endIndex { indices.append(bytes.index(after: indices.last!)) }
        #expect(indices.count == 201)
        for _ in 0..<300 {
            let (a, b) = (random.pick(201), random.pick(201))
            #expect(bytes.index(indices[a], offsetBy: b - a) == indices[b])
            #expect(bytes.distance(from: indices[a], to: indices[b]) == b - a)
            let limit = random.pick(201)
            #expect(
                bytes.index(indices[a], offsetBy: b - a, limitedBy: indices[limit])?.position
                    == model.index(a, offsetBy: b - a, limitedBy: limit))
            if b < 200 { #expect(bytes[bytes.index(indices[a], offsetBy: b - a)] == model[b]) }
        }
        #expect(SegmentedBuffer().bytes.isEmpty && Array(SegmentedBuffer().bytes) == [])
        #expect(bytes.dropFirst(3).prefix(50).elementsEqual(model[3..<53]))
    }

    /// The same bytes, however they are cut and whoever owns them, are equal and hash alike.
    @Test func equality() throws {
        var random = SeededGenerator(seed: 3)
        for size in [0, 1, 8, 255, 256, 257, 600, 2000] {
            let model = random.bytes(size)
            let whole = SegmentedBuffer(copying: model)
            for largest in [2, 40, 700] {
                var buffer = try random.cut(model, ledger, largest: largest)
                #expect(buffer == whole && whole == buffer && buffer == model)
                #expect(buffer.hashValue == whole.hashValue)
                #expect(Set([buffer, whole]).count == 1)
                #expect([UInt8](buffer) == model)
                #expect(buffer.withContiguousBytes { Array($0) } == model)
                guard size > 0 else { continue }
                let place = random.pick(size)
                let other = [model[place] ^ 1]
                other.withUnsafeBytes { buffer.replaceBytes(at: place, with: $0) }
                #expect(buffer != whole && whole != buffer && !(buffer == model))
                #expect(buffer[..<place] == whole[..<place] && buffer[(place + 1)...] == whole[(place + 1)...])
                buffer.removeLast(1)
                #expect(buffer != whole)
            }
        }
    }

    @Test func copyingOut() throws {
        var random = SeededGenerator(seed: 4)
        let model = random.bytes(120)
        let buffer = try random.cut(model, ledger)
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 130, alignment: 1)
        defer { target.deallocate() }
        for offset in 0...120 {
            let room = random.pick(131)
            target.initializeMemory(as: UInt8.self, repeating: 0xaa)
            let count = buffer.copyBytes(
                from: offset, to: UnsafeMutableRawBufferPointer(rebasing: target[..<room]))
            #expect(count == min(120 - offset, room))
            #expect(target[..<count].elementsEqual(model[offset..<offset + count]))
            #expect(target[count...].allSatisfy { $0 == 0xaa })
        }
        #expect(buffer.prefix(500) == buffer && buffer.prefix(3) == Array(model.prefix(3)))
        #expect(buffer.suffix(500) == buffer && buffer.suffix(3) == Array(model.suffix(3)))
    }

    /// A buffer that others share is written by none of them for the others; what is large is not copied whole for it.
    @Test func writingShared() {
        let large = SegmentedBuffer(copying: [UInt8](repeating: 1, count: 5000))
        var copy = large
        ([2, 3] as [UInt8]).withUnsafeBytes { copy.replaceBytes(at: 3000, with: $0) }
        #expect(copy.segmentCount == 3 && copy.count == 5000)
        #expect(copy[segment: 0].sharesMemory(with: large[segment: 0]))
        #expect(copy.copyBytes(2999..<3003) == [1, 2, 3, 1] && large[3000] == 1)
        var alone = SegmentedBuffer(copying: [UInt8](repeating: 1, count: 5000))
        ([2] as [UInt8]).withUnsafeBytes { alone.replaceBytes(at: 3000, with: $0) }
        #expect(alone.segmentCount == 1 && alone[3000] == 2)
    }

    @Test func sinks() throws {
        var random = SeededGenerator(seed: 5)
        let model = random.bytes(300)
        var buffer = try random.cut(model, ledger)
        var taken: [UInt8] = []
        var rounds = 0
        while !buffer.isEmpty {
            let before = taken.count
            let progress = buffer.write { bytes in
                let count = random.flip(30) ? random.pick(bytes.count + 1) : bytes.count
                taken += bytes.prefix(count)
                return count
            }
            #expect(progress.written == taken.count - before && progress.isComplete == buffer.isEmpty)
            #expect(buffer == Array(model.dropFirst(taken.count)))
            rounds += 1
        }
        #expect(taken == model && rounds > 3)
        // What was taken before an error is not there any more.
        struct Full: Error {}
        buffer = SegmentedBuffer([segment([1, 2]), segment([3])])
        #expect(throws: Full.self) {
            try buffer.write { bytes throws(Full) in
                if bytes.count == 1 { throw Full() }
                return bytes.count
            }
        }
        #expect(buffer == [3])
    }

    @Test func misuse() async {
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let buffer = SegmentedBuffer(copying: [1, 2, 3])
                _ = buffer[1..<4]
            }, "SegmentedBuffer: the range 1..<4 is outside of the 3 bytes")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                // An array's bytes are not the segment's to write.
                var segment = Segment(sharing: [1, 2])
                segment.withUnsafeMutableBytes { $0[0] = 1 }
            }, "is written and not one owner's alone")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let buffer = SegmentedBuffer(copying: [1, 2, 3])
                var segment = buffer[segment: 0]
                segment.withUnsafeMutableBytes { $0[0] = 1 }
                withExtendedLifetime(buffer) {}
            }, "is written and not one owner's alone")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var buffer = SegmentedBuffer(copying: [1, 2, 3])
                buffer.append(capacity: 10) { $0.count + 1 }
            }, "bytes were written to room for")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var buffer = SegmentedBuffer(copying: [1, 2, 3])
                buffer.removeFirst(4)
            }, "SegmentedBuffer: the range 0..<4 is outside of the 3 bytes")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let buffer = SegmentedBuffer(copying: [1, 2, 3])
                _ = buffer[segment: -2]
            }, "SegmentedBuffer: segment -2 of 1")
    }
}
