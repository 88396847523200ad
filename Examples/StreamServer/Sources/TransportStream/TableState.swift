// What the tables of a stream say, and those in progress.

/// The tables of one stream.
@usableFromInline
struct TableState {
    private var assemblers: [Int: SectionAssembler] = [:]
    private var associationVersion: UInt8?
    /// By the PID of its map.
    private var maps: [Int: ProgramMap] = [:]
    /// The PIDs of the maps, in the order of the association table.
    @usableFromInline private(set) var mapPIDs: [Int] = []
    /// Where access points are looked for: the first video of the programs, or the first audio where there is no video.
    @usableFromInline private(set) var accessPID: Int?
    @usableFromInline private(set) var accessKind = StreamKind.other

    /// Programs beyond that are forwarded, but not looked at.
    private static let mostPrograms = 64

    private struct ProgramMap {
        var version: UInt8
        var streams: [(pid: Int, kind: StreamKind)]
    }

    @usableFromInline init() {}

    var streamKinds: [Int: StreamKind] {
        Dictionary(maps.values.flatMap(\.streams).map { ($0.pid, $0.kind) }, uniquingKeysWith: { first, _ in first })
    }

    /// Takes the payload of a packet of a table, and says whether there is something new in one.
    mutating func take(_ payload: [UInt8], _ header: PacketHeader, _ counters: inout TransportCounters) -> Bool {
        var sections: [[UInt8]] = []
        let outcome = assemblers[header.pid, default: SectionAssembler()]
            .take(payload, startsUnit: header.startsUnit) { sections.append(copy $0) }
        if outcome == .malformed { counters.malformed += 1 }
        var isNew = false
        for bytes in sections {
            do throws(TableSection.Fault) {
                if try enter(bytes, header.pid) {
                    isNew = true
                    counters.tableChanges += 1
                }
            } catch {
                switch error {
                case .checksum: counters.checksumErrors += 1
                case .malformed: counters.malformed += 1
                }
            }
        }
        if isNew { chooseAccessPID() }
        return isNew
    }

    /// Packets of the PID are missing.
    @usableFromInline
    mutating func interrupt(_ pid: Int) { assemblers[pid]?.interrupt() }

    private mutating func enter(_ bytes: [UInt8], _ pid: Int) throws(TableSection.Fault) -> Bool {
        let isAssociations = pid == KnownPID.associations
        // Other tables may share a map's PID.
        guard let tableID = bytes.first, tableID == (isAssociations ? 0x00 : 0x02) else { return false }
        let section = try TableSection(bytes)
        // One that is announced for later.
        guard section.isCurrent else { return false }
        return isAssociations ? try enterAssociations(section) : try enterMap(section, pid)
    }

    private mutating func enterAssociations(_ section: TableSection) throws(TableSection.Fault) -> Bool {
        let programs = try section.programs()
        // A table of several sections has one version: what they say is joined.
        var pids = section.version == associationVersion ? mapPIDs : []
        for program in programs
        where pids.count < Self.mostPrograms && program.mapPID > 0x0F && program.mapPID != KnownPID.null
            && !pids.contains(program.mapPID)
        {
            pids.append(program.mapPID)
        }
        associationVersion = section.version
        guard pids != mapPIDs else { return false }
        mapPIDs = pids
        maps = maps.filter { pids.contains($0.key) }
        assemblers = assemblers.filter { $0.key == KnownPID.associations || pids.contains($0.key) }
        return true
    }

    private mutating func enterMap(_ section: TableSection, _ pid: Int) throws(TableSection.Fault) -> Bool {
        if maps[pid]?.version == section.version { return false }
        maps[pid] = ProgramMap(version: section.version, streams: try section.streams())
        return true
    }

    private mutating func chooseAccessPID() {
        let streams = mapPIDs.flatMap { maps[$0]?.streams ?? [] }
        let chosen = streams.first { $0.kind.isVideo } ?? streams.first { $0.kind == .audio }
        (accessPID, accessKind) = (chosen?.pid, chosen?.kind ?? .other)
    }
}
