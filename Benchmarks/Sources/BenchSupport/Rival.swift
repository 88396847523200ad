// A rival whose loops are in C++, as a contestant.

package import CBenchSupport

private final class Rival {
    private let handle: OpaquePointer

    init(_ entry: bench_entry) { handle = entry.make()! }

    deinit { bench_rival_destroy(handle) }

    func call(_ function: (OpaquePointer?, UnsafePointer<Input>?) -> UInt64, _ input: Input) -> UInt64 {
        withExtendedLifetime(self) { withUnsafePointer(to: input) { function(handle, $0) } }
    }
}

extension Contestant {
    /// - Parameter hasBytes: whether it tells what its blocks take of malloc.
    package init(_ entry: bench_entry, hasBytes: Bool) {
        self.init(
            name: String(cString: entry.name), isMallow: false, hasColumn: entry.has_column,
            bytesWhenFull: hasBytes ? { Rival(entry).call(bench_rival_bytes_when_full, $0) } : nil
        ) {
            let rival = Rival(entry)
            return { rival.call(bench_rival_run, $0) }
        }
    }
}
