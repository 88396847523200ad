// An allocator for a C library: function pointers with a context, as zlib, Lua or libpng take them, and without one, as
// SQLite and cJSON do.

import Mallow

let ladder = try TieredAllocator(blockSizes: [64, 1024])
try ladder.withCAllocator { table in
    // What the C library would call:
    let pointer = table.malloc(table.context, 100)!
    let larger = table.realloc(table.context, pointer, 500)!
    print("\(table.usableSize(table.context, larger)) usable bytes")
    table.free(table.context, larger)
}

// Strings and bytes for C code, in any allocator.
try ladder.withCString("hello") { text in print(String(cString: text)) }
try ladder.close()

// Hooks without a context: the process has one place for an allocator, which C code calls on any thread.
let pool = Synchronized(try FixedBlockAllocator(blockSize: 256))
try RegisteredCAllocator.register(pool)
let (malloc, free) = (RegisteredCAllocator.mallocFunction, RegisteredCAllocator.freeFunction)
free(malloc(200))
try RegisteredCAllocator.unregister()  // throws where C code has blocks
try pool.close()
