// A program that says nothing of Mallow: its package names the product, and that is all. It does what programs do, and
// leaves the rest to the report of MALLOW_STATS. 1 and a line on standard error if its malloc is not Mallow's.

import CProbe
import Dispatch
import Foundation

struct Order: Codable, Equatable {
    var number: Int
    var text: String
}

func demand(_ holds: Bool, _ what: String) {
    if holds { return }
    FileHandle.standardError.write(Data("quiet: \(what)\n".utf8))
    exit(1)
}

demand(probe_size_before_main() == 112, "a block from before main has \(probe_size_before_main()) bytes, not 112")
demand(probe_has_heap_of_glibc() == 0, "glibc's malloc has a heap")

let orders = (0..<500).map { Order(number: $0, text: String(repeating: "text ", count: $0 % 50)) }
let data = try JSONEncoder().encode(orders)
demand(try JSONDecoder().decode([Order].self, from: data) == orders, "what was encoded was not decoded")
let words = await withTaskGroup(of: [String].self, returning: Int.self) { group in
    for number in 0..<50 { group.addTask { (0..<200).map { "word number \($0 + number) of a task" } } }
    var count = 0
    for await words in group { count += words.count }
    return count
}
demand(words == 10_000, "\(words) words")
// The report must know of these: they are libc's own.
let text = "a text of which copies are made"
for _ in 0..<100_000 {
    let copy = strdup(text)
    demand(probe_usable_size(copy) == 32, "a copy of 32 bytes by libc has \(probe_usable_size(copy))")
    free(copy)
}
let large = malloc(20 << 20)
demand(probe_usable_size(large) >= 20 << 20, "a block of 20 MiB has \(probe_usable_size(large))")
free(large)
demand(probe_has_thread("mallow purger") == 0, "a thread gives memory back in spite of MALLOW_BACKGROUND=0")
print("quiet: passed")
