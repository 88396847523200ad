// Items that own their chain.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabItemTests {
    let arena: SlabArena

    init() throws { arena = try makeSmallArena() }

    @Test func anItemIsReadSpanBySpan() throws {
        let bytes = pattern(5000)
        do {
            let item = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 300)
            #expect(item.count == 5000 && arena.statistics.liveBlocks == 17)
            var read: [UInt8] = []
            var spans = item.spans
            while let span = spans.next() {
                for index in 0..<span.byteCount { read.append(span.unsafeLoad(fromByteOffset: index, as: UInt8.self)) }
            }
            #expect(read == bytes)
            #expect(item.bytes() == bytes && item.bytes(in: 299..<3333) == Array(bytes[299..<3333]))
            #expect(item.bytes(in: 5000..<5000) == [])
            var target = [UInt8](repeating: 0, count: 100)
            var span = target.mutableSpan
            var room = span.mutableBytes
            #expect(item.read(at: 4950, into: &room) == 50)
            #expect(item.read(at: 6000, into: &room) == 0)
            #expect(target == Array(bytes[4950...]) + Array(repeating: 0, count: 50))
        }
        try arena.close()
    }

    @Test func anItemIsWrittenByWhoHasTheOnlyReference() throws {
        var bytes = pattern(1000)
        do {
            var item = try arena.makeItem(byteCount: 1000, chunkSize: 64)
            item.withMutableSpans { span, offset in
                for index in 0..<span.byteCount {
                    span.storeBytes(of: bytes[offset + index], toByteOffset: index, as: UInt8.self)
                }
            }
            #expect(item.bytes() == bytes)
            let patch = pattern(200, seed: 5)
            item.write(at: 500, from: patch.span.bytes)
            bytes.replaceSubrange(500..<700, with: patch)
            #expect(item.bytes() == bytes && item.isOnlyReference)
            do {
                let other = item.duplicate()
                #expect(!item.isOnlyReference && other.bytes() == bytes)
                // A copy is written, and the item stays as it is.
                var copy = try other.copy(chunkSize: 100)
                copy.write(from: patch.span.bytes)
                #expect(copy.bytes() == patch + bytes[200...] && item.bytes() == bytes)
            }
            #expect(item.isOnlyReference == true)
            do {
                // A handle on a chunk in the midst.
                let head = SlabBuffer(arena: arena, adopting: item.unsafeChain.head)
                let second = head.next()
                _ = head.intoUnsafeBytes()
                #expect(second != nil && !item.isOnlyReference)
            }
            #expect(item.isOnlyReference == true)
        }
        try arena.close()
    }

    @Test func anItemIsStoredAndTaken() throws {
        let bytes = pattern(1000)
        let location = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 64).store()
        #expect(arena.statistics.liveBlocks == 16 && location.count == 64)
        do {
            let seen = try unwrap(arena.makeItem(at: location))
            #expect(seen.bytes() == bytes && !seen.isOnlyReference)
        }
        do {
            let item = try unwrap(arena.takeItem(at: location))
            #expect(item.bytes() == bytes && item.isOnlyReference && item.location == location)
            #expect(arena.takeItem(at: location)?.count == nil)
        }
        #expect(arena.makeItem(at: location)?.count == nil)
        let other = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 64).store()
        #expect(arena.release(at: other))
        try arena.close()
    }

    @Test func anItemComesFromABufferAndGoesBackToIt() throws {
        do {
            var head = try arena.makeBuffer(copying: pattern(100).span.bytes)
            let tail = try arena.makeBuffer(copying: pattern(50, seed: 9).span.bytes)
            head.setNext(tail.slice(10..<30))
            head.shorten(to: 60)
            let item = SlabItem(head)
            #expect(item.bytes() == Array(pattern(100)[..<60]) + Array(pattern(50, seed: 9)[10..<30]))
            // What is linked behind it later is not the item's.
            var last = tail.duplicate()
            last.setNext(try arena.makeBuffer(byteCount: 500))
            #expect(item.count == 80 && item.bytes().count == 80)
            var count = 0
            item.withSpans { span, offset in
                #expect(offset == count)
                count += span.byteCount
            }
            #expect(count == 80)
            let buffer = item.intoBuffer()
            #expect(buffer.count == 60)
        }
        try arena.close()
    }
}
