// Whole pages from the operating system, with an inaccessible page on each side of every block.

import Mallow

let pages = PageAllocator(guardPages: true)
let block = try pages.allocate(byteCount: 100_000)
print("\(block.count) usable bytes, \(pages.statistics.heldBytes) held")

// A pool whose pages come straight from the operating system, in huge pages where it has them.
let huge = PageAllocator(hugePages: .advise)
let pool = try FixedBlockAllocator(blockSize: 64, pageSize: PageAllocator.hugePageByteCount, upstream: huge)
pool.deallocate(try pool.allocate(byteCount: 64))
try pool.close()
try huge.close()
pages.deallocate(block)
try pages.close()
