// How the heap ends a program that misuses it: one line on descriptor 2, then `abort`. Nothing here allocates.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// What was wrong with a pointer that was handed back.
enum Misuse {
    static func foreign(_ caller: StaticString, _ address: UInt) -> Never {
        end(
            caller, address,
            "not a block of this malloc (foreign, inside a larger block, or freed and given back already)",
            "free the pointer that malloc returned, once")
    }
    static func interior(_ caller: StaticString, _ address: UInt) -> Never {
        end(
            caller, address, "not the start of a block (a pointer into the middle of one)",
            "free the pointer that malloc returned")
    }
    static func doubleFree(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "already freed (double free)", showsWhere)
    }
    static func freed(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "already freed (a pointer that was kept after free)", showsWhere)
    }
    static func wrongSize(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "the size is not the block's", "pass what was last asked for, or call free")
    }
    static func wrongAlignment(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "the alignment is not the block's", "pass what was asked for, or call free")
    }
    static func corruptedLink(_ address: UInt) -> Never {
        end("malloc", address, "a free block was written to, after it was freed or from beside it", showsWhere)
    }
    static func deadHeap(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "not a live heap (destroyed, deleted, or never made)", "look for who ended it")
    }
    static func otherHeap(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "not a block of this heap (another heap's, or the default one's)", "free it there")
    }
    static func heapInVisit(_ caller: StaticString, _ address: UInt) -> Never {
        end(caller, address, "called by the visitor of this heap", "free blocks there, and no more")
    }

    private static var showsWhere: StaticString { "run it with MALLOW_GUARD_RATE=1 to see where" }

    @inline(never)
    private static func end(
        _ caller: StaticString, _ address: UInt, _ what: StaticString, _ advice: StaticString
    ) -> Never {
        withUnsafeTemporaryAllocation(byteCount: 384, alignment: 8) { buffer in
            var text = TextWriter(descriptor: 2, buffer: buffer)
            text.write("mallow: ")
            text.write(caller)
            text.write("(0x")
            text.write(hexadecimal: address)
            text.write("): ")
            text.write(what)
            text.write("; ")
            text.write(advice)
            text.write("\n")
            text.flush()
        }
        abort()
    }
}
