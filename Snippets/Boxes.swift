// A box: one value in an allocator, freed when the box goes out of scope. It cannot be copied, freed twice or used
// after it was taken: none of that compiles.

import Mallow

struct Session {
    var name: String
    var requests = 0
}

let pool = try FixedBlockAllocator(blockSize: 64)
do {
    var session = try Box(Session(name: "first"), in: pool)
    session.value.requests += 1
    let old = session.replace(with: Session(name: "second"))
    print(old.name, old.requests, session.value.name)
}
print(pool.statistics.liveBlocks, "blocks live")
try pool.close()
