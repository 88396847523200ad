// Handles on chunks that release themselves: nothing is freed by hand, and no span outlives its handle. An index holds
// locations instead: no pointers, and one that outlived its item is found out.

import Mallow

let arena = try SlabArena(slabSize: 64 << 10)
var index: [String: SlabLocation] = [:]
for (name, text) in [("greeting", "Hello"), ("answer", "42")] {
    let bytes = Array(text.utf8)
    index[name] = try arena.makeBuffer(copying: bytes.span.bytes).store()
}

@MainActor func read(_ name: String) -> String? {
    guard let location = index[name], let buffer = arena.makeBuffer(at: location) else { return nil }
    // The handle is made since the index holds the item; it stays where it is for as long as the handle lives, whoever
    // removes it meanwhile.
    return buffer.withSpan { span in
        String(decoding: span.withUnsafeBytes { Array($0) }, as: UTF8.self)
    }
}

guard let answer = read("answer"), answer == "42" else { fatalError("the answer is lost") }

// Writing asks for the only reference: take the item out of the index, write, and put it back.
if var buffer = arena.takeBuffer(at: index["greeting"]!) {
    var span = buffer.mutableSpan
    span.storeBytes(of: UInt8(ascii: "J"), as: UInt8.self)
    index["greeting"] = buffer.store()
}
guard read("greeting") == "Jello" else { fatalError("the greeting is not as it was written") }
print(read("greeting") ?? "", answer)

for location in index.values { arena.release(at: location) }
guard read("answer") == nil else { fatalError("a location that outlived its item was served") }
try arena.close()
