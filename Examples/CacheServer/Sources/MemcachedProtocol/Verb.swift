// The commands of the text protocol, told apart by their length and their bytes: no string is made of a command.

/// A command of the memcached text protocol.
public enum Verb: UInt8, Sendable {
    case get, gets, getAndTouch, getsAndTouch
    case set, add, replace, append, prepend, compareAndSwap
    case delete, increment, decrement, touch
    case flushAll, statistics, version, verbosity, quit

    /// The command that a word names, or nil. Upper case is not the same as lower case.
    static func named(_ word: UnsafeRawBufferPointer) -> Verb? {
        func isWord(_ name: StaticString) -> Bool {
            for offset in 0..<word.count where word[offset] != name.utf8Start[offset] { return false }
            return true
        }
        switch word.count {
        case 3:
            if isWord("get") { return .get }
            if isWord("set") { return .set }
            if isWord("add") { return .add }
            if isWord("cas") { return .compareAndSwap }
            if isWord("gat") { return .getAndTouch }
        case 4:
            // bget is an old name of get, which memcached still knows.
            if isWord("gets") { return .gets }
            if isWord("incr") { return .increment }
            if isWord("decr") { return .decrement }
            if isWord("gats") { return .getsAndTouch }
            if isWord("quit") { return .quit }
            if isWord("bget") { return .get }
        case 5:
            if isWord("touch") { return .touch }
            if isWord("stats") { return .statistics }
        case 6:
            if isWord("delete") { return .delete }
            if isWord("append") { return .append }
        case 7:
            if isWord("replace") { return .replace }
            if isWord("prepend") { return .prepend }
            if isWord("version") { return .version }
        case 9:
            if isWord("flush_all") { return .flushAll }
            if isWord("verbosity") { return .verbosity }
        default: break
        }
        return nil
    }
}
