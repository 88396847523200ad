// A ladder of pools for sizes that vary: 16, 64 and 256 bytes, and the system's malloc for what is larger.

import Mallow

let ladder = try TieredAllocator(blockSizes: [16, 64, 256])
let blocks = try [5, 60, 200, 4000].map { try ladder.allocate(byteCount: $0) }
for block in blocks { print("\(block.count) usable bytes") }
for block in blocks { ladder.deallocate(block) }
try ladder.close()
