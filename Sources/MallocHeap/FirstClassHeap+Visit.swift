// Looking at a first-class heap: its live blocks, and its figures. Which blocks of a page are free is written in the
// free blocks alone: a walk over its list marks them in a bit map, and the others are live.
//
// Cost: O(blocks). The heap's lock is held throughout.

import CMallowShims
import Synchronization

/// Figures of a first-class heap. Bytes where nothing else is said.
public struct FirstClassHeapStatistics {
    public var liveBlocks: UInt = 0
    public var liveBytes: UInt = 0
    /// Memory behind the heap's pages and large blocks: an upper bound of what is resident.
    public var committedBytes: UInt = 0
    /// Pages of small blocks, of 64 KiB each.
    public var pages: UInt = 0
    /// Those of the live blocks that are of more than 32 KiB.
    public var largeBlocks: UInt = 0
    public var largeBytes: UInt = 0
    /// Allocated so far, and the most that was live; a block freed by `free` may count as live until somebody asks.
    public var totalBlocks: UInt = 0
    public var totalBytes: UInt = 0
    public var peakBlocks: UInt = 0
    public var peakBytes: UInt = 0
    /// Records of the heap, its pages and its large blocks, as if it had its tables from the start.
    public var recordBytes: UInt = 0

    public init() {}
}

extension FirstClassHeap {
    /// Calls `visitor` with `context` and each live block, its address and its usable bytes, until it gives another
    /// number than 0, which is the result.
    ///
    /// The visitor may read and write the block, may free it or another, and may use other heaps and `malloc`. It may
    /// not allocate from this heap, resize a block of it, visit, destroy or delete it, or fork: these end the program
    /// with a message. While other threads free blocks of the heap, the visitor may be given one that has just been
    /// freed.
    public func visit(
        context: UnsafeMutableRawPointer?,
        _ visitor: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UInt) -> CInt
    ) -> CInt {
        enter("mallow_heap_visit")
        record.pointee.visitor.store(UInt(mallow_thread_identity()), ordering: .relaxed)
        var result: CInt = 0
        if let heap = record.pointee.pages {
            heap.drainMessages()
            result = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: PageVisit.words) { free in
                heap.forEachPageOfRings { page in
                    page.mergeRemote(keeping: RemoteWord.isMessage, key: heap.pointee.linkKey)
                    return PageVisit(page: page, free: free.baseAddress.unsafelyUnwrapped).run {
                        visitor(context, rawPointer($0), page.pointee.blockByteCount)
                    }
                }
            }
        }
        if result == 0 { result = visitLarge { visitor(context, rawPointer($0), $1) } }
        record.pointee.visitor.store(0, ordering: .relaxed)
        leave()
        return result
    }

    /// Reads the heap's figures. O(pages and large blocks).
    public func statistics() -> FirstClassHeapStatistics {
        enter("mallow_heap_statistics")
        defer { leave() }
        var result = FirstClassHeapStatistics()
        result.recordBytes = FirstClassHeapRecord.byteCount &+ HeapTables.byteCount
        withUnsafeMutablePointer(to: &result) { result in
            if let heap = record.pointee.pages {
                _ = heap.forEachPageOfRings { page in
                    let live = page.liveBlocks
                    result.pointee.liveBlocks &+= live
                    result.pointee.liveBytes &+= live &* page.pointee.blockByteCount
                    result.pointee.committedBytes &+= page.committedBytes
                    result.pointee.pages &+= 1
                    return 0
                }
            }
            addLarge(to: result)
        }
        result.liveBlocks &+= result.largeBlocks
        result.liveBytes &+= result.largeBytes
        result.recordBytes &+= (result.pages &+ result.largeBlocks) &* Layout.recordByteCount
        record.pointee.account.correct(liveBlocks: result.liveBlocks, liveBytes: result.liveBytes)
        record.pointee.account.notePeak()
        result.totalBlocks = record.pointee.account.allocatedBlocks
        result.totalBytes = record.pointee.account.allocatedBytes
        result.peakBlocks = record.pointee.account.peakBlocks
        result.peakBytes = record.pointee.account.peakBytes
        return result
    }

    private func addLarge(to result: UnsafeMutablePointer<FirstClassHeapStatistics>) {
        Process.poolLock.acquire()
        var next = record.pointee.firstLarge
        while let page = next {
            next = page.pointee.nextSparse
            result.pointee.largeBlocks &+= 1
            result.pointee.largeBytes &+= page.pointee.blockByteCount
            result.pointee.committedBytes &+= page.committedBytes
        }
        Process.poolLock.release()
    }
}

extension Malloc {
    /// The figures of all blocks that are of no first-class heap. O(pages); takes the pool's lock.
    public static func defaultHeapStatistics() -> FirstClassHeapStatistics {
        Process.initializeIfNeeded()
        var result = FirstClassHeapStatistics()
        withUnsafeMutablePointer(to: &result) { result in
            Process.forEachPage { page in
                switch page.pointee.kind {
                case PageKind.small: if page.heap?.pointee.handle.load(ordering: .acquiring) ?? 0 != 0 { return }
                case PageKind.run, PageKind.mapping: if page.pointee.mark != 0 { return }
                default: break
                }
                let live = page.liveBlocks
                result.pointee.liveBlocks &+= live
                result.pointee.liveBytes &+= live &* page.pointee.blockByteCount
                result.pointee.committedBytes &+= page.committedBytes
                if page.pointee.kind == PageKind.small || page.pointee.kind == PageKind.hardened {
                    result.pointee.pages &+= 1
                } else {
                    result.pointee.largeBlocks &+= 1
                    result.pointee.largeBytes &+= page.pointee.blockByteCount
                }
            }
        }
        return result
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Calls `body` with each page of each ring, until it gives another number than 0. It must leave the rings as they
    /// are.
    func forEachPageOfRings(_ body: (Page) -> CInt) -> CInt {
        for sizeClass in 0..<SizeClasses.count {
            let first = pages(sizeClass).pointee.current
            if first == Page.none { continue }
            var page = first
            repeat {
                let result = body(page)
                if result != 0 { return result }
                page = page.pointee.next.unsafelyUnwrapped
            } while page != first
        }
        return 0
    }
}

/// The live blocks of a page. Its owner is still meanwhile.
private struct PageVisit {
    /// A bit for each of as many blocks as a page can have, in words of 64.
    static var words: Int { Int(Layout.sliceByteCount / 8 / 64) }

    let page: Page
    let free: UnsafeMutablePointer<UInt64>

    func run(_ body: (UInt) -> CInt) -> CInt {
        let byteCount = page.pointee.blockByteCount
        let carved = UInt(page.pointee.carved)
        for word in 0..<Int(bitPattern: (carved &+ 63) / 64) { free[word] = 0 }
        let key = Process.state.pointee.linkKey
        let start = page.start
        var block = page.pointee.free
        while block != 0 {
            if block &>> Layout.sliceShift != start &>> Layout.sliceShift { Misuse.corruptedLink(block) }
            let index = (block &- start) / byteCount
            free[Int(bitPattern: index / 64)] |= 1 &<< UInt64(index % 64)
            block = loadWord(block) ^ key
        }
        for index in 0..<carved {
            if free[Int(bitPattern: index / 64)] &>> UInt64(index % 64) & 1 != 0 { continue }
            if page.isHollow(atOffset: index &* byteCount) { continue }
            let result = body(start &+ index &* byteCount)
            if result != 0 { return result }
        }
        return 0
    }
}
