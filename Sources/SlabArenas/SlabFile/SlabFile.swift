// An arena whose slabs are extents of a file, which another process can open again: SlabFileLayout.swift has the
// format, SlabFile+Saving.swift and SlabFile+Opening.swift say what is written and checked when.
//
// Cost: chunks are memory as in any arena; a slab that comes or goes costs some system calls; saving and opening cost
// O(chunks), and the disk's time. Thread-safety: none.

import AllocatorCore
import SystemMemory

/// A ``SlabArena`` over a memory-mapped file, which can be closed and opened again, by another process and at another
/// address: locations still hold, and so do links, references, generations, and what was asked for.
///
/// Use it for what should outlast the program: a cache that is warm after a restart, an index that is not read but
/// mapped. Not as a database: changes since the file was last saved are not kept when the program is killed or the
/// machine stops; the file is then refused as torn. Not on a network file system whose server may go away, nor where
/// others cut files: touching what is gone ends the process.
///
/// The arena is an ordinary one: allocate, ``SlabArena/store(_:)`` and keep locations, not pointers, in what you store;
/// set ``root`` to the location from which the next opener finds the rest. A reference that only a pointer or a
/// ``SlabBuffer`` of this process has is kept as well, and is nobody's after opening: release it before, or let it be a
/// location's.
///
/// The arena keeps the file open for as long as it lives. ``close()`` saves and ends it; if nobody called that, the
/// arena's `deinit` saves, and says nothing where it can't. A process that exits without either leaves the file torn.
/// Not for use on both sides of a `fork`.
///
/// Not thread-safe, and not `Sendable`.
public final class SlabFile {
    /// The file's name, as it was given.
    public var path: String { extents.path }
    /// The arena in the file. After ``close()`` it is empty, and refuses every request.
    public let arena: SlabArena
    let extents: SlabFileExtents

    private init(_ arena: SlabArena, _ extents: SlabFileExtents) {
        self.arena = arena
        self.extents = extents
    }

    /// Makes a file, which must not be there yet, and in it an arena without chunks.
    ///
    /// - Parameters:
    ///   - path: the file's name.
    ///   - startChunkSize: see ``SlabArena/init(startChunkSize:slabSize:growthFactor:alignment:upstream:)``.
    ///   - slabSize: bytes of a slab, which takes whole pages of the file, with 128 bytes more and 24 for each chunk.
    ///   - growthFactor: by how much chunk sizes grow.
    ///   - alignment: what chunks are aligned to.
    /// - Throws: ``SlabFileError``; there is no file then that was not there before.
    public convenience init(
        creating path: String, startChunkSize: Int = 64, slabSize: Int = 1 << 20, growthFactor: Double = 1.25,
        alignment: Int = 8
    ) throws(SlabFileError) {
        let made = try Self.create(
            path, startChunkSize: startChunkSize, slabSize: slabSize, growthFactor: growthFactor, alignment: alignment)
        self.init(made.arena, made.extents)
    }

    /// Opens a file that was saved. Its arena has the configuration that it was created with.
    ///
    /// All that the arena relies on is checked before it is used, so that a file which is damaged, or was made to harm,
    /// is refused; and where the file was saved with checksums of its data, so are the data.
    ///
    /// What is not in the file is set again: `maximumByteCount`, and the arena's handlers, delay and automatic mode.
    /// The program finds its items from ``root``, at which it keeps an index, or by ``SlabArena/forEachLiveChunk(_:)``.
    ///
    /// - Throws: ``SlabFileError``; the file is as it was then.
    /// - Complexity: O(chunks), and O(bytes) where data are checked; no data are read otherwise.
    public convenience init(opening path: String) throws(SlabFileError) {
        let opened = try Self.open(path)
        self.init(opened.arena, opened.extents)
    }

    /// The location from which whoever opens the file finds the rest: kept in the file when it is saved. It holds no
    /// reference of its own; ``SlabArena/store(_:)`` gives it one.
    public var root: SlabLocation {
        get { extents.superblock.root }
        set { extents.superblock.root = newValue }
    }

    /// The file's length in bytes now; 0 after ``close()``.
    public var byteCount: Int { extents.phase == .open ? Int(extents.byteCount) : 0 }

    /// How long the file may become, in bytes. A request that would need more is refused, as on a full disk. Not kept
    /// in the file; no limit unless set.
    public var maximumByteCount: Int {
        get { Int(extents.maximumByteCount) }
        set { extents.maximumByteCount = UInt64(max(newValue, 0)) }
    }

    /// Why the file could not grow when it last could not: what is behind the arena's
    /// ``AllocationError/Reason/outOfMemory``. Nil where it always could.
    public var lastRefusal: SlabFileError? { extents.lastRefusal }

    /// Writes all there is to the disk, and goes on.
    ///
    /// If the process or the machine ends before anything is changed again, the file can be opened, and so can a copy
    /// that is made now: this is how to back it up. After the next change the file is torn until it is saved again;
    /// opening finds that out by checksums of everything.
    ///
    /// - Throws: ``SlabFileError``; the arena is as it was, and works on.
    /// - Complexity: O(bytes).
    public func sync() throws(SlabFileError) { try extents.save(arena, checksummingData: true) }

    /// Saves everything, live chunks included, and lets go of the file: the way to end its use.
    ///
    /// Pointers into the arena dangle then, and a ``SlabBuffer`` of before traps when it ends: let handles end first,
    /// in a scope of their own or by `_ = consume handle`. Locations hold again when the file is opened.
    /// (``SlabArena/close()`` is another thing: the end of a phase of use, which throws where chunks are live.)
    ///
    /// - Parameter checksummingData: whether opening should find out every change of the data, too, such as a disk's.
    ///   Costs reading all of them, here and there; otherwise what is checked is what the arena itself relies on.
    /// - Throws: ``SlabFileError``, also where a chain is a ring: the file is still open then, nothing is lost, and
    ///   closing can be tried again.
    /// - Complexity: O(chunks), and O(bytes) with checksums of data.
    public func close(checksummingData: Bool = false) throws(SlabFileError) {
        try extents.save(arena, checksummingData: checksummingData)
        arena.forgetSlabs()
        extents.letGo()
    }

    /// Whether the file was closed.
    public var isClosed: Bool { extents.phase == .closed }
}

extension SlabFile {
    private static func create(
        _ path: String, startChunkSize: Int, slabSize: Int, growthFactor: Double, alignment: Int
    ) throws(SlabFileError) -> (arena: SlabArena, extents: SlabFileExtents) {
        var superblock = SlabFileSuperblock(
            pageByteCount: UInt64(SystemMemory.pageSize()), startChunkSize: 0, slabSize: 0, growthFactor: 0,
            alignment: 0)
        // Before there is a file: whether there can be such an arena, and how many classes it has.
        do throws(ConfigurationError) {
            let model = try SlabArena(
                startChunkSize: startChunkSize, slabSize: slabSize, growthFactor: growthFactor, alignment: alignment,
                upstream: SystemAllocator())
            superblock.startChunkSize = UInt64(model.startChunkSize)
            superblock.slabSize = UInt64(model.slabSize)
            superblock.growthFactor = model.growthFactor.bitPattern
            superblock.alignment = UInt64(model.alignment)
        } catch {
            throw SlabFileError(.configuration(error.description), path)
        }
        let file: SystemFile
        do throws(FailedCall) { file = try SystemFile.open(path, creating: true) } catch {
            throw error.isAlreadyExists ? SlabFileError(.alreadyExists, path) : SlabFileError(error, path)
        }
        do throws(SlabFileError) {
            try lock(file, path)
            let made = try makeArena(superblock, file, path)
            let extents = made.extents
            try extents.calling { () throws(FailedCall) in
                try file.allocate(offset: 0, byteCount: extents.byteCount)
            }
            try extents.writeSuperblock()
            try extents.calling { () throws(FailedCall) in
                try file.synchronize()
                try SystemFile.synchronizeFolder(of: path)
            }
            extents.phase = .open
            return made
        } catch {
            // Whoever locked it before us saw that it is empty, and has refused it.
            SystemFile.remove(path)
            throw error
        }
    }

    /// Locks an open file. Where it throws, the file is closed.
    static func lock(_ file: SystemFile, _ path: String) throws(SlabFileError) {
        do throws(FailedCall) {
            if try file.lock() { return }
        } catch {
            file.close()
            throw SlabFileError(error, path)
        }
        file.close()
        throw SlabFileError(.inUse, path)
    }

    /// An arena over a file, without slabs yet. Where it throws, the file is closed.
    static func makeArena(
        _ superblock: SlabFileSuperblock, _ file: SystemFile, _ path: String
    ) throws(SlabFileError) -> (arena: SlabArena, extents: SlabFileExtents) {
        func size(_ value: UInt64) -> Int { Int(clamping: value) }
        do throws(ConfigurationError) {
            let factor = Double(bitPattern: superblock.growthFactor)
            // The classes must be known before the file's upstream is.
            let model = try SlabArena(
                startChunkSize: size(superblock.startChunkSize), slabSize: size(superblock.slabSize),
                growthFactor: factor, alignment: size(superblock.alignment), upstream: SystemAllocator())
            let extents = SlabFileExtents(
                file: file, path: path, superblock: superblock, classCount: model.chunkSizes.count)
            let arena = try SlabArena(
                startChunkSize: model.startChunkSize, slabSize: model.slabSize, growthFactor: factor,
                alignment: model.alignment, upstream: extents)
            return (arena, extents)
        } catch {
            file.close()
            throw SlabFileError(.torn("it names a configuration that cannot be: \(error)"), path)
        }
    }
}
