// The report of `MALLOW_STATS`, `malloc_stats` and `malloc_info`: as text for people, as one line of JSON for tools, as
// glibc's XML. Written piece by piece through a buffer of its own; nothing is allocated.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
    import SystemMemoryEmbedded
#else
    import MallocHeap
    import SystemMemory
#endif

enum Report {
    /// Writes the figures to a descriptor. May be called by a signal handler.
    static func write(to descriptor: CInt, asJSON: Bool) {
        withScratchMemory { buffer, classes in
            let figures = Malloc.statistics(classes: classes)
            var text = TextWriter(descriptor: descriptor, buffer: buffer)
            if asJSON { writeJSON(figures, classes, &text) } else { writeText(figures, classes, &text) }
            text.flush()
        }
    }

    static func writeXML(to stream: UnsafeMutableRawPointer) {
        withScratchMemory { buffer, classes in
            let figures = Malloc.statistics(classes: classes)
            var text = TextWriter(stream: stream, buffer: buffer)
            writeXML(figures, classes, &text)
            text.flush()
        }
    }

    /// Memory for text and for the classes' figures, straight from the kernel. A temporary allocation of the compiler's
    /// would come from `malloc` at this size: from the very heap that a signal handler has interrupted.
    private static func withScratchMemory(
        _ body: (UnsafeMutableRawBufferPointer, UnsafeMutablePointer<ClassStatistics>) -> Void
    ) {
        let byteCount = 64 << 10
        let address = SystemMemory.map(byteCount: UInt(byteCount))
        guard let base = UnsafeMutableRawPointer(bitPattern: address) else { return }
        let half = byteCount / 2
        body(
            UnsafeMutableRawBufferPointer(start: base, count: half),
            (base + half).assumingMemoryBound(to: ClassStatistics.self))
        SystemMemory.unmap(address: address, byteCount: UInt(byteCount))
    }

    // MARK: - Text

    private static func writeText(
        _ figures: HeapStatistics, _ classes: UnsafeMutablePointer<ClassStatistics>, _ text: inout TextWriter
    ) {
        text.write("mallow: heap of process ")
        text.write(UInt(bitPattern: Int(getpid())))
        text.write("\n")
        if Malloc.isCounting {
            line("requested bytes", figures.requestedBytes, &text)
            line("granted bytes", figures.grantedBytes, &text)
            line("allocations", figures.allocations, &text)
            line("frees", figures.frees, &text)
        }
        line("remote frees", figures.remoteFrees, &text)
        line("live blocks", figures.liveBlocks, &text)
        line("live bytes", figures.liveBytes, &text)
        if Malloc.isCounting { line("peak live bytes", figures.peakLiveBytes, &text) }
        line("mapped bytes", figures.mappedBytes, &text)
        line("committed bytes", figures.committedBytes, &text)
        line("peak committed bytes", figures.peakCommittedBytes, &text)
        line("retained bytes", figures.retainedBytes, &text)
        line("purged bytes", figures.purgedBytes, &text)
        if figures.guardedAllocations > 0 {
            line("guarded allocations", figures.guardedAllocations, &text)
            line("guarded blocks", figures.guardedBlocks, &text)
        }
        line("threads", figures.threads, &text)
        line("peak threads", figures.peakThreads, &text)
        text.write("    class size     allocations     live blocks           pages\n")
        for index in 0..<Malloc.classLimit where classes[index].allocations > 0 || classes[index].pages > 0 {
            text.write(classes[index].byteCount, width: 14)
            text.write(classes[index].allocations, width: 16)
            text.write(classes[index].liveBlocks, width: 16)
            text.write(classes[index].pages, width: 16)
            text.write("\n")
        }
        text.write("         large")
        text.write(figures.largeAllocations, width: 16)
        text.write(figures.largeBlocks, width: 16)
        text.write("\n")
    }

    private static func line(_ label: StaticString, _ value: UInt, _ text: inout TextWriter) {
        text.write("    ")
        text.write(label)
        text.write(value, width: 46 &- label.utf8CodeUnitCount)
        text.write("\n")
    }

    // MARK: - JSON

    private static func writeJSON(
        _ figures: HeapStatistics, _ classes: UnsafeMutablePointer<ClassStatistics>, _ text: inout TextWriter
    ) {
        text.write("{\"mallow\":\"0.1.0\"")
        member("process", UInt(bitPattern: Int(getpid())), &text)
        member("requestedBytes", figures.requestedBytes, &text)
        member("grantedBytes", figures.grantedBytes, &text)
        member("allocations", figures.allocations, &text)
        member("frees", figures.frees, &text)
        member("remoteFrees", figures.remoteFrees, &text)
        member("liveBlocks", figures.liveBlocks, &text)
        member("liveBytes", figures.liveBytes, &text)
        member("peakLiveBytes", figures.peakLiveBytes, &text)
        member("mappedBytes", figures.mappedBytes, &text)
        member("committedBytes", figures.committedBytes, &text)
        member("peakCommittedBytes", figures.peakCommittedBytes, &text)
        member("retainedBytes", figures.retainedBytes, &text)
        member("purgedBytes", figures.purgedBytes, &text)
        member("threads", figures.threads, &text)
        member("peakThreads", figures.peakThreads, &text)
        member("heaps", figures.heaps, &text)
        member("guardedAllocations", figures.guardedAllocations, &text)
        member("guardedBlocks", figures.guardedBlocks, &text)
        member("largeAllocations", figures.largeAllocations, &text)
        member("largeBlocks", figures.largeBlocks, &text)
        member("largeBytes", figures.largeBytes, &text)
        text.write(",\"sizeClasses\":[")
        var isFirst = true
        for index in 0..<Malloc.classLimit where classes[index].allocations > 0 || classes[index].pages > 0 {
            text.write(isFirst ? "{\"size\":" : ",{\"size\":")
            isFirst = false
            text.write(classes[index].byteCount)
            member("allocations", classes[index].allocations, &text)
            member("liveBlocks", classes[index].liveBlocks, &text)
            member("pages", classes[index].pages, &text)
            text.write("}")
        }
        text.write("]}\n")
    }

    private static func member(_ name: StaticString, _ value: UInt, _ text: inout TextWriter) {
        text.write(",\"")
        text.write(name)
        text.write("\":")
        text.write(value)
    }

    // MARK: - XML

    private static func writeXML(
        _ figures: HeapStatistics, _ classes: UnsafeMutablePointer<ClassStatistics>, _ text: inout TextWriter
    ) {
        text.write("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n")
        for index in 0..<Malloc.classLimit where classes[index].freeBlocks > 0 {
            let free = classes[index].freeBlocks
            // One that a bucket added has blocks of one size alone.
            let isFixed = index < SizeClasses.count
            let smallest = index == 0 ? 0 : isFixed ? classes[index &- 1].byteCount &+ 1 : classes[index].byteCount
            element("size from", smallest, "to", classes[index].byteCount, &text)
            text.write(" total=\"")
            text.write(free &* classes[index].byteCount)
            text.write("\" count=\"")
            text.write(free)
            text.write("\"/>\n")
        }
        text.write("</sizes>\n")
        let free = figures.committedBytes &- min(figures.committedBytes, figures.liveBytes)
        total("fast", 0, 0, &text)
        total("rest", figures.freeBlocks, free, &text)
        system(figures, &text)
        text.write("</heap>\n")
        total("fast", 0, 0, &text)
        total("rest", figures.freeBlocks, free, &text)
        total("mmap", figures.largeBlocks, figures.largeBytes, &text)
        system(figures, &text)
        text.write("</malloc>\n")
    }

    private static func element(
        _ start: StaticString, _ from: UInt, _ middle: StaticString, _ to: UInt, _ text: inout TextWriter
    ) {
        text.write("<")
        text.write(start)
        text.write("=\"")
        text.write(from)
        text.write("\" ")
        text.write(middle)
        text.write("=\"")
        text.write(to)
        text.write("\"")
    }

    private static func total(_ type: StaticString, _ count: UInt, _ byteCount: UInt, _ text: inout TextWriter) {
        text.write("<total type=\"")
        text.write(type)
        text.write("\" count=\"")
        text.write(count)
        text.write("\" size=\"")
        text.write(byteCount)
        text.write("\"/>\n")
    }

    private static func system(_ figures: HeapStatistics, _ text: inout TextWriter) {
        text.write("<system type=\"current\" size=\"")
        text.write(figures.committedBytes)
        text.write("\"/>\n<system type=\"max\" size=\"")
        text.write(figures.peakCommittedBytes)
        text.write("\"/>\n<aspace type=\"total\" size=\"")
        text.write(figures.mappedBytes)
        text.write("\"/>\n<aspace type=\"mprotect\" size=\"")
        text.write(figures.mappedBytes)
        text.write("\"/>\n")
    }
}
