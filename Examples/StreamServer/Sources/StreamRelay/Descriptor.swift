// Reading once from a descriptor that does not block.

import Glibc

/// Reads up to `count` bytes; `byteCount` is how many came.
func readOnce(
    _ descriptor: Int32, _ memory: UnsafeMutableRawPointer?, _ count: Int, _ byteCount: inout Int
) -> ReadOutcome {
    byteCount = 0
    while true {
        let result = read(descriptor, memory, count)
        if result > 0 {
            byteCount = result
            return .bytes(result)
        }
        if result == 0 { return .end }
        switch errno {
        case EINTR: continue
        case EAGAIN: return .nothing
        default: return .failed(errno)
        }
    }
}
