// A byte too far ends the program at the instruction that writes it: each block ends where an inaccessible page begins.

import Mallow

let allocator = GuardAllocator(catching: .overrun)
let block = try allocator.allocate(byteCount: 24)
block.initializeMemory(as: UInt8.self, repeating: 1)
// block.baseAddress!.storeBytes(of: 1, toByteOffset: 24, as: UInt8.self)      ends the program
allocator.deallocate(block)
try allocator.close()
