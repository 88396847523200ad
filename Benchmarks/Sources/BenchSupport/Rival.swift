// A rival whose loops are in C++, as a contestant.

package import CBenchSupport

private final class Rival {
    private let handle: OpaquePointer

    init(_ entry: bench_entry) { handle = entry.make()! }

    deinit { bench_rival_destroy(handle) }

    func call(_ function: (OpaquePointer?, UnsafePointer<Input>?) -> UInt64, _ input: Input) -> UInt64 {
        withExtendedLifetime(self) { withUnsafePointer(to: input) { function(handle, $0) } }
    }

    func extras(_ input: Input) -> [Double] {
        var extras = [Double](repeating: 0, count: Int(BENCH_EXTRA_COUNT))
        withExtendedLifetime(self) { withUnsafePointer(to: input) { bench_rival_extras(handle, $0, &extras) } }
        return extras
    }
}

extension Contestant {
    /// - Parameters:
    ///   - hasBytes: whether it tells what its blocks take of malloc.
    ///   - hasExtras: whether it tells the figures of `Workload.extraTitles`.
    package init(_ entry: bench_entry, hasBytes: Bool, hasExtras: Bool = false) {
        self.init(
            name: String(cString: entry.name), isMallow: false, hasColumn: entry.has_column,
            bytesWhenFull: hasBytes ? { Rival(entry).call(bench_rival_bytes_when_full, $0) } : nil,
            extras: hasExtras ? { Rival(entry).extras($0) } : nil
        ) {
            let rival = Rival(entry)
            return { rival.call(bench_rival_run, $0) }
        }
    }
}
