// A device's heap, of which the allocator knows offsets only: aligned pieces, parts of them freed, what it looks like
// inside, moves that join what is free, and the state in a file.

import Foundation
import Mallow

/// What stands for the device's memory.
let heap = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 256)
heap.initializeMemory(as: UInt8.self, repeating: 0, count: 1 << 20)
defer { heap.deallocate() }

/// Checked in every case while a program is being written; `.boundaries` is the default.
let ranges = RangeAllocator(size: 1 << 20, checks: .everything)

/// The program's own record: which range a handle stands for, and how it must be aligned. The allocator has none.
struct Resource: Codable {
    var range: Range<Int>
    var alignment: Int
}
var resources: [Int: Resource] = [:]

// Textures start at multiples of 256, other buffers anywhere.
for handle in 1...40 {
    let (count, alignment) = handle % 4 == 0 ? (40_000, 256) : (5000 + 100 * handle, 1)
    guard let range = ranges.allocate(count, alignment: alignment) else { fatalError("1 MiB is too little") }
    resources[handle] = Resource(range: range, alignment: alignment)
    (heap + range.lowerBound).initializeMemory(as: UInt8.self, repeating: UInt8(handle), count: count)
}

// Half of the handles are not needed any more, and of one texture only the first 10,000 bytes are.
for handle in stride(from: 1, through: 40, by: 2) {
    if let resource = resources.removeValue(forKey: handle) { ranges.deallocate(resource.range) }
}
guard let texture = resources[8] else { fatalError("texture 8 is there") }
let kept = texture.range.lowerBound..<texture.range.lowerBound + 10_000
ranges.deallocate(kept.upperBound..<texture.range.upperBound)
resources[8]?.range = kept
print(ranges.statistics)

// What is free is scattered. The plan says what to move, in which order; each handle gets its new place.
let before = ranges.statistics.externalFragmentation
let plan = ranges.defragmentationPlan { run in
    resources.values.reduce(1) { $1.range.overlaps(run) ? max($0, $1.alignment) : $0 }
}
for move in plan {
    guard ranges.move(move) else { fatalError("the plan is out of date") }
    memmove(heap + move.to, heap + move.from.lowerBound, move.from.count)
    for (handle, resource) in resources {
        if let range = move.newRange(of: resource.range) { resources[handle]?.range = range }
    }
}
let after = ranges.statistics.externalFragmentation
print("\(plan.count) moves: fragmentation \(Int(before * 100)) % -> \(Int(after * 100)) %")
for (handle, resource) in resources {
    guard resource.range.lowerBound % resource.alignment == 0,
        resource.range.allSatisfy({ heap.load(fromByteOffset: $0, as: UInt8.self) == UInt8(handle) })
    else { fatalError("resource \(handle) was lost on its way") }
}
guard after < before else { fatalError("the moves joined nothing") }

// The state in a file: what is free, and the program's own ranges beside it.
struct SavedHeap: Codable {
    var free: RangeSnapshot
    var resources: [Int: Resource]
}
let data = try JSONEncoder().encode(SavedHeap(free: ranges.snapshot, resources: resources))
let saved = try JSONDecoder().decode(SavedHeap.self, from: data)
let restored = try RangeAllocator(saved.free)
for resource in saved.resources.values { restored.deallocate(resource.range) }
guard restored.isEmpty else { fatalError("the file names all that is allocated") }
print("\(data.count) bytes of JSON; all of it given back")
