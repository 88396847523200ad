// The commands of the text protocol, told apart by their length and their bytes: no string is made of a command.

/// A command of the memcached text protocol.
public enum Verb: UInt8, Sendable {
    case get, gets, getAndTouch, getsAndTouch
    case set, add, replace, append, prepend, compareAndSwap
    case delete, increment, decrement, touch
    case flushAll, statistics, version, verbosity, quit

    /// The command that a word names, or nil. Upper case is not the same as lower case.
    init?(_ word: UnsafeRawBufferPointer) {
        func isWord(_ name: StaticString) -> Bool {
            for offset in 0..<word.count where word[offset] != name.utf8Start[offset] { return false }
            return true
        }
        switch word.count {
        case 3:
            if isWord("get") { self = .get; return }
            if isWord("set") { self = .set; return }
            if isWord("add") { self = .add; return }
            if isWord("cas") { self = .compareAndSwap; return }
            if isWord("gat") { self = .getAndTouch; return }
        case 4:
            if isWord("gets") { self = .gets; return }
            if isWord("incr") { self = .increment; return }
            if isWord("decr") { self = .decrement; return }
            if isWord("gats") { self = .getsAndTouch; return }
            if isWord("quit") { self = .quit; return }
            // An old name of it, which memcached still knows.
            if isWord("bget") { self = .get; return }
        case 5:
            if isWord("touch") { self = .touch; return }
            if isWord("stats") { self = .statistics; return }
        case 6:
            if isWord("delete") { self = .delete; return }
            if isWord("append") { self = .append; return }
        case 7:
            if isWord("replace") { self = .replace; return }
            if isWord("prepend") { self = .prepend; return }
            if isWord("version") { self = .version; return }
        case 9:
            if isWord("flush_all") { self = .flushAll; return }
            if isWord("verbosity") { self = .verbosity; return }
        default: break
        }
        return nil
    }
}
