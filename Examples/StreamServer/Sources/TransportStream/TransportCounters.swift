/// What a parser has seen.
public struct TransportCounters: Equatable, Sendable {
    public var packets = 0
    /// Bytes that were no packets.
    public var skippedBytes = 0
    /// How often a packet did not begin where it should have.
    public var syncLosses = 0
    /// Packets whose continuity counter does not follow the one before: some between them are missing.
    public var continuityErrors = 0
    /// Packets that came twice, which the format allows.
    public var duplicates = 0
    /// Packets that are marked as damaged.
    public var damaged = 0
    /// Packets and sections whose fields contradict each other.
    public var malformed = 0
    /// Sections with a wrong checksum.
    public var checksumErrors = 0
    /// Association tables and program maps that said something new.
    public var tableChanges = 0
    /// PES packets that began.
    public var unitStarts = 0
    /// Places where a decoder can start.
    public var accessPoints = 0

    public init() {}

    public static func += (sum: inout TransportCounters, more: TransportCounters) {
        sum.packets += more.packets
        sum.skippedBytes += more.skippedBytes
        sum.syncLosses += more.syncLosses
        sum.continuityErrors += more.continuityErrors
        sum.duplicates += more.duplicates
        sum.damaged += more.damaged
        sum.malformed += more.malformed
        sum.checksumErrors += more.checksumErrors
        sum.tableChanges += more.tableChanges
        sum.unitStarts += more.unitStarts
        sum.accessPoints += more.accessPoints
    }
}
