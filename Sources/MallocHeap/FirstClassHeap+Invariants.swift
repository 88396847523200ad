// Holds first-class heaps to what FirstClassHeap.swift promises. For tests: the library has no trace of it.

#if !hasFeature(Embedded)
    import Synchronization

    extension Malloc {
        /// What is broken in a first-class heap, in words; nil if nothing is. O(heaps, pages).
        static func brokenFirstClassHeap() -> String? {
            var listed = 0
            var withPages = 0
            var candidate = FirstClassHeap(address: Process.state.pointee.firstClassHeaps.load(ordering: .relaxed))
            while let heap = candidate {
                candidate = FirstClassHeap(address: heap.record.pointee.next)
                if heap.isHeld { return "a heap's lock is held" }
                if let pages = heap.record.pointee.pages {
                    withPages += 1
                    if pages.pointee.state != .firstClass { return "F1: pages of another state" }
                    if pages.pointee.handle.load(ordering: .relaxed) != heap.address { return "F1: another's pages" }
                    let isLive = heap.record.pointee.isLive.load(ordering: .relaxed)
                    if !isLive, pages.forEachPageOfRings({ _ in 1 }) != 0 { return "an ended heap has pages" }
                }
                var previous: Page?
                var next = heap.record.pointee.firstLarge
                while let page = next {
                    listed += 1
                    if page.pointee.mark != heap.address { return "F1: a large block of another heap" }
                    if page.pointee.kind != PageKind.run, page.pointee.kind != PageKind.mapping {
                        return "F1: no large block"
                    }
                    if page.pointee.previousSparse != previous { return "F1: large blocks are not linked both ways" }
                    previous = page
                    next = page.pointee.nextSparse
                }
                if heap.record.pointee.nextVisited != nil { return "a visit that has not ended" }
                if previous != nil, !heap.record.pointee.isLive.load(ordering: .relaxed) {
                    return "an ended heap has large blocks"
                }
            }
            var marked = 0
            Process.forEachPage {
                let isLarge = $0.pointee.kind == PageKind.run || $0.pointee.kind == PageKind.mapping
                if isLarge, $0.pointee.mark != 0 { marked += 1 }
            }
            if marked != listed { return "F1: \(marked) large blocks marked, \(listed) in lists" }
            return withPages == heapsWithHandle ? nil : "F1: a heap's pages without the heap"
        }

        private static var heapsWithHandle: Int {
            var count = 0
            var candidate = Process.state.pointee.heaps
            while let heap = candidate {
                candidate = heap.pointee.nextInRegistry
                if heap.pointee.handle.load(ordering: .relaxed) != 0 { count += 1 }
            }
            return count
        }
    }
#endif
