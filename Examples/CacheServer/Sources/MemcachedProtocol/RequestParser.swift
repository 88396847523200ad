// From a line to a request. In what order arguments are checked, and what is let through, is what memcached 1.6.18
// does: it was asked. Cost: one pass over the line, and a second over the keys of a `get` with several.

extension ParsedLine {
    /// Takes a line apart.
    ///
    /// - Parameter line: without its line end.
    public static func parse(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        var words = Words(line)
        guard let name = words.next(), let verb = Verb.named(name) else { return .refused(.error) }
        switch verb {
        case .get, .gets: return parseKeys(Request(verb), words)
        case .getAndTouch, .getsAndTouch: return parseTouchedKeys(Request(verb), words)
        case .version, .quit: return .request(Request(verb))
        case .statistics:
            var request = Request(verb)
            request.rest = words
            return .request(request)
        default: return Arguments(words).parse(Request(verb))
        }
    }

    private static func parseKeys(_ request: Request, _ words: Words) -> ParsedLine {
        var (request, words) = (request, words)
        guard let first = words.next() else { return .refused(.error) }
        request.key = first
        request.rest = words
        // An answer that has begun cannot be taken back: all keys are looked at first.
        if first.count > Request.longestKey { return .refused(.badFormat) }
        while let key = words.next() {
            if key.count > Request.longestKey { return .refused(.badFormat) }
        }
        return .request(request)
    }

    /// `<exptime> <key>*`: memcached lets the keys be left out.
    private static func parseTouchedKeys(_ request: Request, _ words: Words) -> ParsedLine {
        var (request, words) = (request, words)
        guard let expiry = words.next() else { return .refused(.error) }
        guard let seconds = Decimal.signed(expiry) else { return .refused(.badExpiry) }
        request.expiry = Int32(truncatingIfNeeded: seconds)
        var keys = words
        return keys.next() == nil ? .request(request) : parseKeys(request, words)
    }
}

/// The words behind the name of a command that has at most six of them.
private struct Arguments {
    /// How many there are; above six, seven.
    var count = 0
    var first = none, second = none, third = none, fourth = none, fifth = none, last = none

    static var none: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    init(_ words: Words) {
        var words = words
        while count < 7, let word = words.next() {
            count += 1
            switch count {
            case 1: first = word
            case 2: second = word
            case 3: third = word
            case 4: fourth = word
            case 5: fifth = word
            default: break
            }
            last = word
        }
    }

    func parse(_ request: Request) -> ParsedLine {
        var request = request
        request.key = first
        request.isQuiet = isNoReply(last)
        switch request.verb {
        case .compareAndSwap: return count == 5 || count == 6 ? storage(&request) : .refused(.error)
        case .increment, .decrement: return count == 2 || count == 3 ? change(&request) : .refused(.error)
        case .delete: return delete(&request)
        case .touch:
            guard count == 2 || count == 3 else { return .refused(.error) }
            if first.count > Request.longestKey { return refuse(request, .badFormat) }
            return expiry(&request, second)
        case .flushAll:
            guard count <= 2 else { return .refused(.error) }
            return count == 0 || count == 1 && request.isQuiet ? .request(request) : expiry(&request, first)
        case .verbosity:
            guard count == 1 || count == 2 else { return .refused(.error) }
            return Decimal.unsigned(first) == nil ? refuse(request, .badFormat) : .request(request)
        default: return count == 4 || count == 5 ? storage(&request) : .refused(.error)
        }
    }

    /// `<key> <flags> <exptime> <bytes> [<cas>] [noreply]`
    private func storage(_ request: inout Request) -> ParsedLine {
        guard first.count <= Request.longestKey, let flags = Decimal.unsigned(second),
            let expiry = Decimal.signed(third), let byteCount = Decimal.signed(fourth)
        else { return refuse(request, .badFormat) }
        request.flags = UInt32(truncatingIfNeeded: flags)
        request.expiry = Int32(truncatingIfNeeded: expiry)
        // memcached reads 32 bits of the length, and keeps room for the line end behind it.
        let length = Int32(truncatingIfNeeded: byteCount)
        guard length >= 0, length <= Int32.max - 2 else { return refuse(request, .badFormat) }
        request.byteCount = Int(length)
        if request.verb == .compareAndSwap {
            guard let unique = Decimal.unsigned(fifth) else { return refuse(request, .badFormat) }
            request.number = unique
        }
        return .request(request)
    }

    private func change(_ request: inout Request) -> ParsedLine {
        if first.count > Request.longestKey { return refuse(request, .badFormat) }
        guard let delta = Decimal.unsigned(second) else { return refuse(request, .badDelta) }
        request.number = delta
        return .request(request)
    }

    /// `<key> [0] [noreply]`: the 0 is what is left of a time that some clients still send.
    private func delete(_ request: inout Request) -> ParsedLine {
        guard count >= 1, count <= 3 else { return .refused(.error) }
        // A key may be called noreply.
        request.isQuiet = count > 1 && isNoReply(last)
        let isZero = second.count == 1 && second[0] == UInt8(ascii: "0")
        let isWellFormed = count == 1 || count == 2 && (isZero || request.isQuiet) || isZero && request.isQuiet
        guard isWellFormed else { return refuse(request, .badDelete) }
        return first.count > Request.longestKey ? refuse(request, .badFormat) : .request(request)
    }

    private func expiry(_ request: inout Request, _ word: UnsafeRawBufferPointer) -> ParsedLine {
        guard let seconds = Decimal.signed(word) else { return refuse(request, .badExpiry) }
        request.expiry = Int32(truncatingIfNeeded: seconds)
        return .request(request)
    }

    private func refuse(_ request: Request, _ reply: Reply) -> ParsedLine {
        request.isQuiet ? .refusedQuietly : .refused(reply)
    }

    private func isNoReply(_ word: UnsafeRawBufferPointer) -> Bool {
        guard word.count == 7 else { return false }
        let name: StaticString = "noreply"
        for offset in 0..<7 where word[offset] != name.utf8Start[offset] { return false }
        return true
    }
}
