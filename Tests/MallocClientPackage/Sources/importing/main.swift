// A program that looks at the malloc it runs on. Without an argument it must be Mallow's, from before main on and for
// every library in the process: 1 and a line on standard error if it is not. With `sanitized` it must be the
// sanitizer's; `use-after-free` and `race` are for the sanitizers to find, `crash` for Swift's handler of crashes.

import CProbe
import Dispatch
import Foundation
import MallowMalloc

final class Node {
    let text: String
    init(_ text: String) { self.text = text }
}

func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
    if holds { return }
    FileHandle.standardError.write(Data("importing: \(what())\n".utf8))
    exit(1)
}

/// How many blocks more there are while the result of `make` lives. Other threads may free a few meanwhile.
func growth<Result>(_ make: () -> Result) -> Int {
    let before = Mallow.statistics.liveBlocks
    return withExtendedLifetime(make()) { Mallow.statistics.liveBlocks - before }
}

func checkBlocks() {
    // glibc's blocks have 8 bytes more than a multiple of 16.
    expect(probe_size_before_main() == 112, "a block from before main has \(probe_size_before_main()) bytes, not 112")
    let block = malloc(100)
    expect(probe_usable_size(block) == 112, "a block of 100 bytes has \(probe_usable_size(block)), not 112")
    free(block)
    let node = Node("an object")
    let size = probe_usable_size(Unmanaged.passUnretained(node).toOpaque())
    expect(size == 32, "a Swift object of 32 bytes has \(size)")
    expect(probe_has_heap_of_glibc() == 0, "glibc's malloc has a heap: something was allocated before or beside Mallow")
}

func checkLibraries() async {
    let text = "a text that is too long to be kept inside a String"
    let cases: [(String, Int, () -> Any)] = [
        ("Swift objects and strings", 2000, { (0..<1000).map { Node("\(text) \($0)") } }),
        ("strdup, in libc", 1000, { (0..<1000).map { _ in Copy(strdup(text)) } }),
        ("open streams, in libc", 100, { (0..<100).map { _ in Stream(fopen("/dev/null", "r")) } }),
        ("std::string, in libstdc++", 1000, { Strings(probe_make_strings(1000, 100)) }),
        ("Foundation's objects", 1000, { (0..<1000).map { NSMutableData(length: 100 + $0)! } }),
        (
            "queues and semaphores, in libdispatch", 400,
            {
                (0..<200).map { (DispatchQueue(label: "\($0)"), DispatchSemaphore(value: 0)) }
            }
        ),
    ]
    for (name, least, make) in cases {
        let blocks = growth(make)
        expect(blocks >= least, "\(name): \(blocks) blocks, not \(least)")
    }

    // Tasks that wait, and one thread of libdispatch's each for blocks that it frees.
    let before = Mallow.statistics.liveBlocks
    let (stream, end) = AsyncStream.makeStream(of: Void.self)
    let tasks = (0..<200).map { number in
        Task {
            for await _ in stream where number < 0 {}
            return (0..<100).map { "\(text) \($0 + number)" }
        }
    }
    let waiting = Mallow.statistics.liveBlocks - before
    expect(waiting >= 200, "200 tasks: \(waiting) blocks")
    end.finish()
    var lines = 0
    for task in tasks { lines += await task.value.count }
    expect(lines == 20_000, "\(lines) lines")
    DispatchQueue.concurrentPerform(iterations: 16) { number in
        let numbers = (0..<1000).map { "\($0 * number)" + text }
        expect(Set(numbers).count == (number == 0 ? 1 : 1000), "strings were spoilt")
    }
}

func checkRequests() {
    expect(Mallow.isMalloc, "Mallow.isMalloc is false")
    expect(Mallow.purgeDelay == .milliseconds(70), "MALLOW_PURGE_DELAY=70 gives \(Mallow.purgeDelay)")
    Mallow.purgeDelay = .seconds(3600)
    expect(Mallow.purgeDelay == .seconds(3600), "an hour is \(Mallow.purgeDelay)")
    let large = malloc(20 << 20)!
    memset(large, 1, probe_usable_size(large))
    let figures = Mallow.statistics
    expect(figures.liveBytes >= 20 << 20 && figures.committedBytes >= figures.liveBytes, "\(figures)")
    free(large)
    expect(Mallow.statistics.retainedBytes >= 20 << 20, "20 MiB just freed: \(Mallow.statistics)")
    expect(Mallow.limit == nil, "a limit of \(Mallow.limit ?? 0) from nowhere")
    Mallow.limit = 100 << 20
    expect(Mallow.limit == 100 << 20, "100 MiB are \(Mallow.limit ?? 0)")
    let tooLarge = malloc(200 << 20)
    expect(probe_usable_size(tooLarge) == 0 && errno == ENOMEM, "200 MiB beyond a limit of 100")
    Mallow.limit = nil
    expect(Mallow.trim(), "trim gives nothing back")
    expect(Mallow.statistics.purgedBytes >= figures.purgedBytes + 20 << 20, "20 MiB trimmed: \(Mallow.statistics)")
}

/// The thread that gives memory back, which is on in a program that adopts Mallow: it started before `main`, and takes
/// its name a moment later.
func checkBackground() {
    for _ in 0..<10_000 where probe_has_thread("mallow purger") == 0 { usleep(1000) }
    expect(probe_has_thread("mallow purger") == 1, "no thread gives memory back")
}

func checkSanitized() {
    expect(!Mallow.isMalloc, "Mallow.isMalloc under a sanitizer")
    expect(Mallow.statistics.liveBlocks == 0, "blocks under a sanitizer: \(Mallow.statistics)")
    expect(!Mallow.trim(), "something was trimmed under a sanitizer")
    let block = malloc(100)
    expect(probe_usable_size(block) == 100, "a block of 100 bytes has \(probe_usable_size(block)): not the sanitizer's")
    free(block)
}

func useAfterFree() {
    let block = malloc(100)!
    free(block)
    block.storeBytes(of: 1, as: Int.self)
}

final class Copy {
    let text: UnsafeMutablePointer<CChar>?
    init(_ text: UnsafeMutablePointer<CChar>?) { self.text = text }
    deinit { free(text) }
}

final class Stream {
    let file: UnsafeMutablePointer<FILE>?
    init(_ file: UnsafeMutablePointer<FILE>?) { self.file = file }
    deinit { if let file { fclose(file) } }
}

final class Strings {
    let strings: UnsafeMutableRawPointer?
    init(_ strings: UnsafeMutableRawPointer?) { self.strings = strings }
    deinit { probe_end_strings(strings) }
}

switch CommandLine.arguments.dropFirst().first {
case "sanitized": checkSanitized()
case "use-after-free": useAfterFree()
case "crash":
    checkBackground()
    abort()
default:
    checkBlocks()
    await checkLibraries()
    checkRequests()
    checkBackground()
    checkBlocks()
}
print("importing: passed")
