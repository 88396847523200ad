// Compresses and decompresses a real file with zlib, in pieces of 64 KiB with a stream of their own each, once on the
// system's malloc and once on a ladder of pools. usage: ZlibCompression [FILE]

import CZlib
import Foundation
import Mallow

let pieceSize = 65536
let mostBytes = 32 << 20

/// The file to work on: the argument, else a large one that a machine with Swift has.
func inputPath(_ argument: String?) -> String {
    if let argument { return argument }
    // The Swift runtime that this very program is linked with.
    let maps = try? FileHandle(forReadingAtPath: "/proc/self/maps")?.readToEnd()
    let lines = String(decoding: maps ?? Data(), as: UTF8.self).split(separator: "\n")
    let line = lines.first { $0.hasSuffix("/libswiftCore.so") }
    return line.flatMap { $0.split(separator: " ").last.map(String.init) } ?? CommandLine.arguments[0]
}

func read(_ path: String) -> [UInt8] {
    guard let file = FileHandle(forReadingAtPath: path), let data = try? file.read(upToCount: mostBytes), !data.isEmpty
    else { fail("\(path) cannot be read, or is empty") }
    return [UInt8](data)
}

/// What zlib asks malloc for, counted.
final class Calls {
    var allocations = 0
    var live = 0
}

/// Compresses and decompresses all pieces, and compares each with what it was.
func work(_ bytes: [UInt8], _ hooks: Hooks) -> (milliseconds: Double, compressedBytes: Int) {
    let bound = Int(compressBound(UInt(pieceSize)))
    let compressed = UnsafeMutableRawBufferPointer.allocate(byteCount: bound, alignment: 16)
    let restored = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 16)
    defer {
        compressed.deallocate()
        restored.deallocate()
    }
    var compressedBytes = 0
    let clock = ContinuousClock()
    let time = clock.measure {
        bytes.withUnsafeBytes { input in
            for start in stride(from: 0, to: input.count, by: pieceSize) {
                let piece = UnsafeRawBufferPointer(rebasing: input[start..<min(start + pieceSize, input.count)])
                guard let count = hooks.compress(piece, into: compressed) else { fail("deflate failed") }
                let back = UnsafeMutableRawBufferPointer(rebasing: restored[..<piece.count])
                let packed = UnsafeRawBufferPointer(rebasing: compressed[..<count])
                guard hooks.decompress(packed, into: back) == piece.count,
                    memcmp(back.baseAddress!, piece.baseAddress!, piece.count) == 0
                else { fail("the piece at \(start) is not what it was") }
                compressedBytes += count
            }
        }
    }
    return (Double(time.components.attoseconds) / 1e15 + Double(time.components.seconds) * 1e3, compressedBytes)
}

func run(_ side: Side, _ bytes: [UInt8]) throws -> Run {
    let calls = Calls()
    let countingMalloc = Hooks(
        context: Unmanaged.passUnretained(calls).toOpaque(),
        allocate: { context, count, size in
            let calls = Unmanaged<Calls>.fromOpaque(context!).takeUnretainedValue()
            calls.allocations += 1
            calls.live += 1
            return malloc(Int(count) * Int(size))
        },
        free: { context, block in
            Unmanaged<Calls>.fromOpaque(context!).takeUnretainedValue().live -= 1
            free(block)
        })
    switch side {
    case .system:
        let (time, compressed) = withExtendedLifetime(calls) { work(bytes, countingMalloc) }
        return Run(
            milliseconds: time, blocks: calls.allocations, leakedBlocks: calls.live, checksum: UInt64(compressed))
    case .mallow:
        // What zlib asks for: states of 6 to 10 KiB, windows of 32 and 64 KiB, and tables of up to 128 KiB.
        let pool = try TieredAllocator(blockSizes: [1 << 13, 1 << 15, 1 << 16, 1 << 17], pageSize: 1 << 18)
        let table = try CAllocator(pool)
        let (time, compressed) = work(bytes, Hooks(table))
        let leak = table.findLeaks()
        if leak == nil {
            try table.invalidate()
            try pool.close()
        }
        return Run(
            milliseconds: time, blocks: pool.pools.map(\.statistics.totalBlocks).reduce(0, +),
            leakedBlocks: leak?.blocks ?? 0, checksum: UInt64(compressed))
    }
}

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.count == 3, arguments[0] == "--run", let side = Side(rawValue: arguments[1]) {
    var result = try run(side, read(arguments[2]))
    result.peakKiB = peakKiB()
    print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
} else {
    let path = inputPath(arguments.first)
    let bytes = read(path)
    let version = String(cString: zlibVersion())
    print("zlib \(version): \(path), \(bytes.count) bytes in pieces of \(pieceSize), there and back")
    try compare(rounds: 5, blocks: "allocations", arguments: [path])
    print("every piece came back byte for byte")
}
