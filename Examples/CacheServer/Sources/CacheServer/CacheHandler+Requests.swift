// From a line to its answer.

import CacheStore
import MemcachedProtocol
import NIOCore

extension CacheHandler {
    /// Answers a line.
    ///
    /// - Parameters:
    ///   - data: what follows the line, as far as it has come.
    ///   - input: the line, its end, and the data.
    /// - Returns: how much of the input is done with.
    func respond(
        to line: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer, _ input: UnsafeRawBufferPointer,
        _ context: ChannelHandlerContext
    ) -> Int {
        let lineByteCount = input.count - data.count
        if var request = continued {
            continued = nil
            var keys = Words(line)
            guard let key = keys.next() else {
                answer(.end)
                return lineByteCount
            }
            (request.key, request.rest) = (key, keys)
            return get(request, input, context) ?? lineByteCount
        }
        switch ParsedLine.parse(line) {
        case .refused(let reply): answer(reply)
        case .refusedQuietly: break
        case .request(let request):
            switch request.verb {
            case .get, .gets, .getAndTouch, .getsAndTouch: return get(request, input, context) ?? lineByteCount
            case .set, .add, .replace, .append, .prepend, .compareAndSwap:
                return lineByteCount + storeItem(request, data)
            default: respond(to: request)
            }
        }
        return lineByteCount
    }

    private func respond(to request: Request) {
        var line: Reply? = .ok
        switch request.verb {
        case .delete: line = store.delete(request.key) ? .deleted : .notFound
        case .touch: line = store.touch(request.key, expiry: request.expiry) ? .touched : .notFound
        case .increment, .decrement: return change(request)
        case .flushAll: store.flushAll(after: request.expiry)
        case .version: line = .version
        case .statistics: line = writeStatistics(request.rest)
        case .quit: (isClosing, line) = (true, nil)
        default: break
        }
        if let line, !request.isQuiet { answer(line) }
    }

    private func change(_ request: Request) {
        let result = store.change(request.key, by: request.number, isSubtracted: request.verb == .decrement)
        if request.isQuiet { return }
        switch result {
        case .notFound: answer(.notFound)
        case .notANumber: answer(.notANumber)
        case .outOfMemory: answer(.outOfMemoryIncrementing)
        case .value(let value):
            var end = reply.room(Decimal.longest + 2)
            end += Decimal.write(value, to: end)
            writeLineEnd(&end)
            reply.advance(to: end)
        }
    }

    // MARK: - get

    /// Answers `get` and its kin.
    ///
    /// - Returns: nil when it is done; where the client must read first, how much of the input is done with: what
    ///   follows are the keys that are left.
    private func get(_ request: Request, _ input: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) -> Int? {
        guard request.key.count > 0 else {
            answer(.end)
            return nil
        }
        let isTouched = request.verb == .getAndTouch || request.verb == .getsAndTouch
        let hasUnique = request.verb == .gets || request.verb == .getsAndTouch
        let expiry = isTouched ? request.expiry : nil
        var (key, keys) = (request.key, request.rest)
        while true {
            _ = store.read(key, touching: expiry) { write(key, $0, hasUnique: hasUnique) }
            let remainder = keys.remainder
            guard let next = keys.next() else { break }
            key = next
            if reply.byteCount > Self.largestReply {
                let isWritten = flush(context)
                // The channel has perhaps found that the client is gone: nobody would release what is shared from here.
                if isClosing { return nil }
                if !isWritten {
                    pause(context)
                    continued = request
                    return remainder.baseAddress.unsafelyUnwrapped - input.baseAddress.unsafelyUnwrapped
                }
            }
        }
        answer(.end)
        return nil
    }

    /// Above this a value is written from where it lies: below, a reference more and a buffer cost more than a copy.
    private static let largestCopied = 4096

    /// `VALUE <key> <flags> <bytes> [<unique>]`, and the value.
    private func write(_ key: UnsafeRawBufferPointer, _ hit: Hit, hasUnique: Bool) {
        let byteCount = hit.valueByteCount
        let isShared = byteCount > Self.largestCopied
        var end = reply.room(6 + key.count + 3 * (Decimal.longest + 1) + 4 + (isShared ? 0 : byteCount))
        let name: StaticString = "VALUE "
        end.copyMemory(from: name.utf8Start, byteCount: 6)
        end += 6
        end.copyMemory(from: key.baseAddress.unsafelyUnwrapped, byteCount: key.count)
        end += key.count
        append(UInt64(hit.flags), &end)
        append(UInt64(byteCount), &end)
        if hasUnique { append(hit.unique, &end) }
        writeLineEnd(&end)
        if isShared {
            reply.advance(to: end)
            hit.shareValue { reply.append(shared: $0) }
            end = reply.room(2)
        } else {
            hit.copyValue(to: end)
            end += byteCount
        }
        writeLineEnd(&end)
        reply.advance(to: end)
    }

    private func append(_ number: UInt64, _ end: inout UnsafeMutableRawPointer) {
        end.storeBytes(of: UInt8(ascii: " "), as: UInt8.self)
        end += 1
        end += Decimal.write(number, to: end)
    }

    private func writeLineEnd(_ end: inout UnsafeMutableRawPointer) {
        end.storeBytes(of: 0x0D, as: UInt8.self)
        end.storeBytes(of: 0x0A, toByteOffset: 1, as: UInt8.self)
        end += 2
    }

    // MARK: - set

    /// Stores an item, or begins to. Returns how much of the data is done with.
    private func storeItem(_ request: Request, _ data: UnsafeRawBufferPointer) -> Int {
        let description = ItemDescription(
            mode: mode(request.verb), key: request.key, flags: request.flags, expiry: request.expiry,
            valueByteCount: request.byteCount, unique: request.number)
        let all = request.byteCount + 2
        if data.count >= all, data[all - 2] == 0x0D, data[all - 1] == 0x0A {
            answer(
                store.store(description, value: UnsafeRawBufferPointer(rebasing: data[..<request.byteCount])),
                request.isQuiet)
            return all
        }
        switch store.begin(description) {
        case .success(let item):
            (pending, pendingIsQuiet, endBytes, isEndRight) = (item, request.isQuiet, 0, true)
        case .failure(let failure):
            (skipped, skippedResult) = (all, request.isQuiet ? nil : failure.result)
        }
        return 0
    }

    /// Takes the next bytes of a value, and stores the item when it is complete. Returns how much of the input is done
    /// with.
    func receive(_ input: UnsafeRawBufferPointer) -> Int {
        var used = 0
        let missing = pending.unsafelyUnwrapped.missing
        if missing > 0 {
            used = min(missing, input.count)
            pending?.write(UnsafeRawBufferPointer(rebasing: input[..<used]))
        }
        while used < input.count, endBytes < 2 {
            if input[used] != (endBytes == 0 ? 0x0D : 0x0A) { isEndRight = false }
            endBytes += 1
            used += 1
        }
        guard endBytes == 2, let item = pending else { return used }
        pending = nil
        if isEndRight {
            answer(store.finish(item), pendingIsQuiet)
        } else {
            store.abandon(item)
            if !pendingIsQuiet { answer(.badDataChunk) }
        }
        return used
    }

    /// Reads what is missing of a large value from the socket to where it belongs, and the line end behind it. What the
    /// socket doesn't have yet, NIO reads.
    func receiveFromSocket() {
        guard let missing = pending?.missing, missing >= 16 << 10, endBytes == 0 else { return }
        withUnsafeTemporaryAllocation(byteCount: 2, alignment: 1) { end in
            let vector = iovec(iov_base: end.baseAddress, iov_len: 2)
            let count = pending?.withMissingParts(and: vector) { readv(socket, $0.baseAddress, CInt($0.count)) } ?? 0
            guard count > 0 else { return }
            counters.read(count)
            pending?.advance(min(count, missing))
            if count > missing { _ = receive(UnsafeRawBufferPointer(rebasing: end[..<(count - missing)])) }
        }
    }

    private func mode(_ verb: Verb) -> ItemDescription.Mode {
        switch verb {
        case .add: .add
        case .replace: .replace
        case .append: .append
        case .prepend: .prepend
        case .compareAndSwap: .compareAndSwap
        default: .set
        }
    }

    /// Skips what belongs to a value that cannot be stored; the answer comes, as memcached's does, when all of it has.
    /// Returns how much of the input is done with.
    func skip(_ input: UnsafeRawBufferPointer) -> Int {
        let count = min(skipped, input.count)
        skipped -= count
        if skipped == 0, let result = skippedResult { answer(result, false) }
        return count
    }

    private func answer(_ result: StoreResult, _ isQuiet: Bool) {
        if isQuiet { return }
        switch result {
        case .stored: answer(.stored)
        case .notStored: answer(.notStored)
        case .exists: answer(.exists)
        case .notFound: answer(.notFound)
        case .tooLarge: answer(.tooLarge)
        case .outOfMemory: answer(.outOfMemory)
        }
    }
}
