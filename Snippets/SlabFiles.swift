// An arena in a file: closed, and opened again as another process would, at another address.

import Foundation
import Mallow

let folder = FileManager.default.temporaryDirectory.appendingPathComponent("slabs-\(UUID().uuidString)")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: folder) }
let path = folder.appendingPathComponent("greetings.slabs").path

// A list of words, each a chunk, linked; the root is the location of the first.
let file = try SlabFile(creating: path, slabSize: 64 << 10)
var first: UnsafeMutableRawBufferPointer?
for word in ["allocator", "slab", "a", "from", "greetings"] {
    let chunk = try file.arena.allocateChunk(byteCount: word.utf8.count)
    chunk.copyBytes(from: word.utf8)
    if let next = first {
        file.arena.setNext(next, of: chunk)
        // The link has a reference of its own.
        file.arena.release(next)
    }
    first = chunk
}
file.root = file.arena.store(first!)
try file.close()

let again = try SlabFile(opening: path)
var words: [String] = []
var next = again.arena.makeBuffer(at: again.root)
while let word = next.take() {
    words.append(String(decoding: word.unsafeBytes, as: UTF8.self))
    next = word.next()
}
let chunks = again.arena.statistics.liveBlocks
print("\(words.joined(separator: " ")): \(chunks) chunks, a file of \(again.byteCount) bytes")
precondition(words == ["greetings", "from", "a", "slab", "allocator"])

// The last release frees the whole chain, and the arena has nothing left to leak.
again.arena.release(at: again.root)
again.root = .nil
try again.arena.close()
try again.close()

// A file that was changed behind the arena's back is refused, with a reason.
let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
try handle.seek(toOffset: 24)
try handle.write(contentsOf: [1])
try handle.close()
do {
    _ = try SlabFile(opening: path)
    preconditionFailure("a torn file was opened")
} catch {
    print(error)
}
