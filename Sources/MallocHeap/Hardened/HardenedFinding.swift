// What the hardened malloc says when it has found something: one line on descriptor 2, which tells what, where and what
// to do, and then `abort`. A program that handles SIGABRT may allocate there: so no lock is held by then.

import CMallowShims

/// How a finding came to light: the call that checked, and the pointer it was given, or the block it was about.
struct Occasion {
    let caller: StaticString
    let pointer: UInt

    static func atExit(_ block: UInt) -> Occasion { Occasion(caller: "exit", pointer: block) }
}

enum HardenedFinding {
    static func writtenPastEnd(_ occasion: Occasion, size: UInt, offset: UInt) -> Never {
        end(occasion) { line in
            line.write("the block of ")
            line.write(bytes: size)
            line.write(" was written past its end, at offset ")
            line.write(offset)
            line.write("; look for an index or a length that is too large. ")
            line.write(Self.stopAtTheWrite)
        }
    }

    /// `neighbour` is the block in front, live or free, whose last bytes were changed.
    static func writtenInFront(_ occasion: Occasion, distance: UInt, neighbour: UInt, size: UInt, isLive: Bool) -> Never
    {
        end(occasion) { line in
            line.write("the block was written before its start, at offset -")
            line.write(distance)
            line.write("; look for a negative index, or for ")
            line.write(
                isLive ? "a write past the end of the block of " : "a pointer still in use to the freed block of ")
            line.write(bytes: size)
            line.write(" at 0x")
            line.write(hexadecimal: neighbour)
            line.write(". ")
            line.write(Self.stopAtTheWrite)
        }
    }

    /// Where the bytes in front are no other block's.
    static func writtenBefore(_ occasion: Occasion, size: UInt, distance: UInt) -> Never {
        end(occasion) { line in
            line.write("the block of ")
            line.write(bytes: size)
            line.write(" was written before its start, at offset -")
            line.write(distance)
            line.write("; look for a negative index. ")
            line.write(Self.stopAtTheWrite)
        }
    }

    static func writtenAfterFree(_ occasion: Occasion, size: UInt, offset: UInt) -> Never {
        end(occasion) { line in
            line.write("the block of ")
            line.write(bytes: size)
            line.write(" was written after it was freed, at offset ")
            line.write(offset)
            line.write("; look for a pointer to it that is still in use. ")
            line.write(Self.stopAtTheWrite)
        }
    }

    static func freedTwice(_ occasion: Occasion, size: UInt) -> Never {
        end(occasion) { line in
            line.write("the block of ")
            line.write(bytes: size)
            line.write(" was freed already (double free); look for a second owner of it")
        }
    }

    static func insideBlock(_ occasion: Occasion, block: UInt, size: UInt, isLive: Bool) -> Never {
        end(occasion) { line in
            line.write("not the start of a block, but ")
            line.write(bytes: occasion.pointer &- block)
            line.write(isLive ? " behind that of the block of " : " behind that of the freed block of ")
            line.write(bytes: size)
            line.write(" at 0x")
            line.write(hexadecimal: block)
            line.write("; free the pointer that malloc returned")
        }
    }

    static func neverAllocated(_ occasion: Occasion) -> Never {
        end(occasion) { line in
            line.write("no block of this malloc begins there, and none did; free the pointer that malloc returned")
        }
    }

    static func wrongSize(_ occasion: Occasion, said: UInt, size: UInt) -> Never {
        end(occasion) { line in
            line.write("the caller says ")
            line.write(bytes: said)
            line.write(", but the block was allocated with ")
            line.write(size)
            line.write("; free it with the size that was asked for, and as the type that it was allocated as")
        }
    }

    static func wrongAlignment(_ occasion: Occasion, said: UInt, size: UInt, alignment: UInt) -> Never {
        end(occasion) { line in
            line.write("the caller says an alignment of ")
            line.write(said)
            line.write(", but the block of ")
            line.write(bytes: size)
            line.write(" was allocated with ")
            if alignment <= 1 { line.write("none") } else { line.write(alignment) }
            line.write("; free it with the alignment that was asked for")
        }
    }

    private static let stopAtTheWrite: StaticString = "MALLOW_GUARD_RATE=1 can stop the program at the write"

    /// Says what a fault means, and returns.
    static func fault(_ verb: StaticString, at address: UInt, block: UInt, size: UInt, isLive: Bool) {
        say(Occasion(caller: verb, pointer: address)) { line in
            line.write(
                isLive ? (address < block ? "before the start, at offset -" : "past the end, at offset ") : "at offset "
            )
            line.write(address < block ? block &- address : address &- block)
            line.write(isLive ? ", of the block of " : " of the freed block of ")
            line.write(bytes: size)
            line.write(" at 0x")
            line.write(hexadecimal: block)
            line.write(
                isLive
                    ? "; look for an index or a length that is wrong"
                    : "; look for a pointer to it that is still in use")
        }
    }

    @inline(never)
    private static func end(_ occasion: Occasion, _ describe: (inout TextWriter) -> Void) -> Never {
        say(occasion, describe)
        abort()
    }

    private static func say(_ occasion: Occasion, _ describe: (inout TextWriter) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { buffer in
            var line = TextWriter(descriptor: 2, buffer: buffer)
            line.write("mallow: ")
            line.write(occasion.caller)
            line.write("(0x")
            line.write(hexadecimal: occasion.pointer)
            line.write("): ")
            describe(&line)
            line.write("\n")
            line.flush()
        }
    }
}

extension TextWriter {
    fileprivate mutating func write(bytes count: UInt) {
        write(count)
        write(count == 1 ? " byte" : " bytes")
    }
}
