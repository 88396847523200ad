// What has happened: under memcached's names in `stats`.

/// Counts since the start, or since they were reset.
public struct CacheCounters: Sendable {
    public var getCommands = 0
    public var getHits = 0
    public var getMisses = 0
    public var getExpired = 0
    public var getFlushed = 0
    public var setCommands = 0
    public var touchCommands = 0
    public var touchHits = 0
    public var touchMisses = 0
    public var deleteHits = 0
    public var deleteMisses = 0
    public var incrementHits = 0
    public var incrementMisses = 0
    public var decrementHits = 0
    public var decrementMisses = 0
    public var casHits = 0
    public var casMisses = 0
    public var casMismatches = 0
    public var flushCommands = 0
    public var tooLarge = 0
    public var noMemory = 0
    public var evictions = 0
    public var reclaimed = 0
    public var crawlerReclaimed = 0
    public var slabsEmptied = 0
    public var chunksMoved = 0
    public var totalItems = 0
    /// The bytes of all items that are held, headers and keys among them.
    public var itemBytes = 0
}
