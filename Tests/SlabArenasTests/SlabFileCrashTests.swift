// Processes that are killed, calls that fail, disks that are full, and copies that are made in between.

import AllocatorTestKit
import Foundation
import Mallow
import SystemMemory
import Testing

@testable import SlabArenas

@Suite struct SlabFileCrashTests {
    private func makeFile(_ path: String) throws -> (file: SlabFile, model: FileModel, random: SeededGenerator) {
        var random = SeededGenerator(seed: 5)
        var model = FileModel()
        let file = try SlabFile(creating: path, startChunkSize: 48, slabSize: 4096, growthFactor: 3)
        for _ in 0..<200 { try model.step(file.arena, &random) }
        return (file, model, random)
    }

    @Test func aFileIsOpenOnce() async throws {
        try await withFileAsync { path in
            let (file, _, _) = try makeFile(path)
            #expect(refusal(path) == .inUse)
            await #expect(processExitsWith: .success) { [path = path as String] in
                #expect(refusal(path) == .inUse)
                #expect(throws: SlabFileError.self) { try SlabFile(creating: path) }
                #expect(FileManager.default.fileExists(atPath: path))
            }
            try file.close()
            await #expect(processExitsWith: .success) { [path = path as String] in
                #expect(refusal(path) == nil)
            }
            #expect(throws: SlabFileError.self) { try SlabFile(creating: path) }
            #expect(refusal(path) == nil)
            #expect(throws: SlabFileError.self) { try SlabFile(creating: path + ".2", growthFactor: 1) }
            #expect(!FileManager.default.fileExists(atPath: path + ".2"))
        }
    }

    /// What a change is, after which a synchronised file is torn.
    @Test func copiesOfAnOpenFileAreTornUnlessMadeRightAfterSync() throws {
        try withFile { path in
            var (file, model, random) = try makeFile(path)
            let copy = path + ".copy"
            func isTorn() throws -> Bool {
                try write(contents(path), copy)
                guard let kind = refusal(copy) else { return false }
                #expect(kind.isTorn, "\(kind)")
                return true
            }
            let number = model.items.keys.sorted().first { model.items[$0]!.location.count > 0 }!
            let buffer = file.arena.buffer(at: model.items[number]!.location)!
            let changes: [() throws -> Void] = [
                { buffer[buffer.count - 1] ^= 1 }, { file.arena.addReference(buffer) },
                { _ = file.arena.release(buffer) },
                { _ = file.arena.store(try file.arena.allocateChunk(byteCount: 9)) },
                { _ = try file.arena.allocateChunk(byteCount: 4096) }, { file.arena.trim() },
            ]
            #expect(try isTorn())
            for change in changes.dropLast() {
                try file.sync()
                #expect(try !isTorn())
                try change()
                #expect(try isTorn())
            }
            // And with the changes undone, it goes on.
            buffer[buffer.count - 1] ^= 1
            var extra: [SlabLocation] = []
            file.arena.forEachLiveChunk { location in
                if !model.items.values.contains(where: {
                    $0.location.slab == location.slab && $0.location.generation == location.generation
                        && $0.location.position == location.position
                }) {
                    extra.append(location)
                }
            }
            #expect(extra.count == 2)
            for location in extra { file.arena.release(at: location) }
            model.allocations += 2
            #expect(model.difference(from: file.arena) == nil)
            for _ in 0..<100 { try model.step(file.arena, &random) }
            try file.sync()
            try write(contents(path), copy)
            let other = try SlabFile(opening: copy)
            #expect(model.difference(from: other.arena) == nil)
        }
    }

    @Test func aProcessThatIsKilledLeavesATornFile() async throws {
        try await withFileAsync { path in
            try makeFile(path).file.close()
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                let file = try SlabFile(opening: path)
                _ = try file.arena.allocateChunk(byteCount: 100)
                kill(getpid(), SIGKILL)
            }
            #expect(refusal(path) == .torn("it was not saved when it was last used"))
        }
    }

    @Test func aProcessThatIsKilledBeforeItChangesAnythingAfterSyncLosesNothing() async throws {
        try await withFileAsync { path in
            let (file, model, _) = try makeFile(path)
            try file.close()
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                let file = try SlabFile(opening: path)
                try file.sync()
                kill(getpid(), SIGKILL)
            }
            let again = try SlabFile(opening: path)
            #expect(model.difference(from: again.arena) == nil)
            try again.close()
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                let file = try SlabFile(opening: path)
                try file.sync()
                _ = try file.arena.allocateChunk(byteCount: 4096)
                kill(getpid(), SIGKILL)
            }
            #expect(refusal(path)?.isTorn == true)
        }
    }

    /// At any moment, while it changes, saves and opens.
    @Test(arguments: 1...6) func aProcessThatIsKilledAnywhereLeavesAFileThatIsTornOrSound(seed: Int) async throws {
        try await withFileAsync { path in
            try makeFile(path).file.close()
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, seed = seed as Int] in
                var random = SeededGenerator(seed: UInt64(seed))
                var file = try SlabFile(opening: path)
                let delay = Int.random(in: 1...40, using: &random)
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(delay)) { kill(getpid(), SIGKILL) }
                var live: [UnsafeMutableRawBufferPointer] = []
                while true {
                    live.append(try file.arena.allocateChunk(byteCount: Int.random(in: 0...4096, using: &random)))
                    if live.count > 50 {
                        file.arena.release(live.remove(at: Int.random(in: live.indices, using: &random)))
                    }
                    switch Int.random(in: 0..<20, using: &random) {
                    case 0: try file.sync()
                    case 1:
                        while let chunk = live.popLast() { file.arena.release(chunk) }
                        try file.close()
                        file = try SlabFile(opening: path)
                    default: break
                    }
                }
            }
            do throws(SlabFileError) {
                let file = try SlabFile(opening: path)
                #expect(file.arena.brokenInvariant() == nil)
            } catch {
                #expect(error.kind.isTorn, "\(error)")
            }
        }
    }

    /// In processes of their own: a plan of failures holds for every thread of a process.
    @Test(arguments: [1, 4, 1_000_000]) func everyCallFails(count: Int) async throws {
        try await withFileAsync { path in
            await #expect(processExitsWith: .success) { [path = path as String, count = count as Int] in
                let kinds: [Call] = [
                    .openFile, .fileStatus, .lockFile, .readFile, .writeFile, .truncateFile, .allocateFile, .punchHole,
                    .mapFile, .synchronizeFile, .synchronizeFolder, .map, .unmap,
                ]
                var failed = 0
                for kind in kinds {
                    var nth = 1
                    while true {
                        FaultInjection.fail(nth: nth, count: count, of: [kind])
                        var file = FailingFile(path, seed: UInt64(nth))
                        try file.run()
                        let calls = FaultInjection.end()
                        failed += calls.failed
                        if calls.failed == 0 { break }
                        nth += 1
                    }
                    // Every kind is called at least once.
                    #expect(nth > 1, "\(kind)")
                }
                #expect(failed > 100)
            }
        }
    }

    /// A limit on file sizes, which ends a process by a signal that goes beyond it.
    @Test func aLimitOnFileSizesIsAnError() async throws {
        try await withFileAsync { path in
            await #expect(processExitsWith: .success) { [path = path as String] in
                var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
                try #require(setrlimit(fileSizeLimit, &limit) == 0)
                let file = try SlabFile(creating: path, startChunkSize: 4096, slabSize: 1 << 16)
                var live = 0
                while let chunk = file.arena.tryAllocateChunk(byteCount: 4096) {
                    chunk.initializeMemory(as: UInt8.self, repeating: 5)
                    live += 1
                }
                #expect(live >= 13 * 16)
                #expect(file.lastRefusal?.kind == .systemCall("posix_fallocate", errno: EFBIG))
                try file.close()
                let again = try SlabFile(opening: path)
                #expect(again.arena.statistics.liveBlocks == live && again.arena.brokenInvariant() == nil)
                try again.close()
            }
        }
    }
}

#if canImport(Glibc)
    private let fileSizeLimit = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
#else
    private let fileSizeLimit = RLIMIT_FSIZE
#endif

/// A file in use while calls fail: what fails is tried again when calls no longer do, and nothing is lost.
private struct FailingFile {
    let path: String
    var random: SeededGenerator
    var model = FileModel()

    init(_ path: String, seed: UInt64) {
        self.path = path
        random = SeededGenerator(seed: seed)
    }

    /// Does something twice at most: the second time nothing fails.
    private func trying<Value>(_ body: () throws(SlabFileError) -> Value) throws -> Value {
        do throws(SlabFileError) { return try body() } catch {
            #expect(error.path == path && !error.description.contains("\n"))
            FaultInjection.end()
            return try body()
        }
    }

    private mutating func work(_ arena: SlabArena) throws {
        for _ in 0..<25 {
            do { try model.step(arena, &random) } catch is AllocationError {}
        }
        // A hole between two slabs, where there is memory for them.
        let chunks = (0..<3).map { _ in arena.tryAllocateChunk(byteCount: 4096) }
        model.allocations += chunks.count { $0 != nil }
        for index in [1, 0, 2] { if let chunk = chunks[index] { arena.release(chunk) } }
        let difference = model.difference(from: arena)
        #expect(difference == nil)
    }

    mutating func run() throws {
        let path = path
        try? FileManager.default.removeItem(atPath: path)
        var file = try trying { () throws(SlabFileError) in
            try SlabFile(creating: path, startChunkSize: 100, slabSize: 4096, growthFactor: 4)
        }
        file.arena.emptySlabDelay = .zero
        try work(file.arena)
        try trying { () throws(SlabFileError) in try file.sync() }
        try work(file.arena)
        try trying { () throws(SlabFileError) in try file.close() }
        file = try trying { () throws(SlabFileError) in try SlabFile(opening: path) }
        file.arena.emptySlabDelay = .zero
        try work(file.arena)
        try trying { () throws(SlabFileError) in try file.close(checksummingData: true) }
        // What was counted stays.
        FaultInjection.end()
        file = try SlabFile(opening: path)
        let difference = model.difference(from: file.arena)
        #expect(difference == nil)
    }
}
