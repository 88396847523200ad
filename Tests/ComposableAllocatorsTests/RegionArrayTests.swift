// Arrays and strings that grow inside a region, beside the standard library's.

import Mallow
import Testing

@Suite struct RegionArrayTests {
    @Test(arguments: 1...8)
    func randomOperationsAgreeWithArray(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let source = PageSource()
        do {
            let region = try Region(initialChunkSize: 256, maximumChunkSize: 2048, upstream: source)
            var array = try region.makeArray(of: String.self, capacity: Int(random.next() % 4))
            var plain = try region.makeArray(of: UInt16.self)
            var model: [String] = []
            var plainModel: [UInt16] = []
            for _ in 0..<1000 {
                let number = random.next() % 10_000
                switch number % 12 {
                case 0..<5:
                    // Longer than what a string holds inline: a lost or doubled deinit is a leak or a crash.
                    let text = "element number \(number) of a region's array"
                    try array.append(text)
                    model.append(text)
                    try plain.append(UInt16(number))
                    plainModel.append(UInt16(number))
                case 5:
                    let texts = (0..<(number % 7)).map { "text \($0), which is not short" }
                    try array.append(copying: texts)
                    model += texts
                    try plain.append(copying: [1, 2, 3].span)
                    plainModel += [1, 2, 3]
                case 6, 7:
                    let (last, expected) = (array.popLast(), model.popLast())
                    #expect(last == expected)
                case 8 where !model.isEmpty:
                    let index = Int(number) % model.count
                    array[index] += "!"
                    model[index] += "!"
                    var span = plain.mutableSpan
                    if span.count > 0 {
                        span[0] &+= 1
                        plainModel[0] &+= 1
                    }
                case 9:
                    // Something behind it: it must move.
                    _ = try region.allocate(number)
                case 10:
                    try array.reserveCapacity(Int(number) % 100)
                    try plain.reserveCapacity(Int(number) % 100)
                case 11 where number % 50 == 0:
                    array.removeAll()
                    model = []
                default: break
                }
                let (count, capacity, plainCount) = (array.count, array.capacity, plain.count)
                #expect(count == model.count && capacity >= count && plainCount == plainModel.count)
                if number % 20 == 0 {
                    var same = true
                    for index in model.indices { same = same && array[index] == model[index] }
                    let span = plain.span
                    for index in plainModel.indices { same = same && span[index] == plainModel[index] }
                    #expect(same)
                    let broken = region.unsafeAllocator.brokenInvariant()
                    #expect(broken == nil)
                }
            }
            let final = array.finish()
            let same = model.indices.allSatisfy { final[$0] == model[$0] }
            #expect(same && final.count == model.count)
        }
        #expect(source.live.isEmpty)
    }

    @Test func theLastInItsChunkGrowsInPlace() throws {
        let region = Region()
        var array = try region.makeArray(of: Int.self, capacity: 1)
        try array.append(0)
        let first = array.span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        let blocks = region.statistics.totalBlocks
        for number in 1..<300 { try array.append(number) }
        let last = array.span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        #expect(first == last)
        #expect(region.statistics.totalBlocks == blocks)
        _ = try region.allocate(1)
        let capacity = array.capacity
        for number in 300...(capacity + 1) { try array.append(number) }
        let moved = array.span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
        #expect(moved != first)
        let contents = array.span.withUnsafeBufferPointer { Array($0) }
        #expect(contents == Array(0...(capacity + 1)))
        // What an array left is no longer live: its account, the elements, the value.
        #expect(region.statistics.liveBlocks == 3)
    }

    @Test func finishGivesTheRoomThatIsLeftBack() throws {
        let region = Region()
        var array = try region.makeArray(of: UInt8.self, capacity: 1000)
        try array.append(7)
        let free = region.statistics.freeBytes
        let span = array.finish()
        #expect(region.statistics.freeBytes == free + 999)
        let first = span[0]
        #expect(first == 7)
    }

    @Test func aFailedGrowthLeavesTheArrayAsItWas() throws {
        let source = PageSource(room: 1)
        let region = try Region(initialChunkSize: 1024, maximumChunkSize: 1024, upstream: source)
        var array = try region.makeArray(of: String.self)
        var appended = 0
        var failed = false
        while !failed {
            do {
                try array.append("element number \(appended) of a region's array")
                appended += 1
            } catch {
                #expect(error.reason == .outOfMemory)
                failed = true
            }
        }
        #expect(appended > 40)
        #expect(array.count == appended)
        var same = true
        for index in 0..<appended { same = same && array[index] == "element number \(index) of a region's array" }
        #expect(same)
        #expect(throws: AllocationError.self) {
            var other = try region.makeArray(of: Int.self)
            try other.reserveCapacity(.max)
        }
    }

    @Test func anArrayThatMovedBehindACheckpointEndsWithIt() throws {
        let gone = try RegionWitness.noted { diary in
            var region = Region()
            let mark: RegionCheckpoint
            do {
                var array = try region.makeArray(of: RegionWitness.self, capacity: 2)
                for number in 1...2 { try array.append(RegionWitness(diary, number)) }
                mark = try region.checkpoint()
                for number in 3...40 { try array.append(RegionWitness(diary, number)) }
                let count = array.count
                #expect(count == 40)
            }
            let before = diary.live
            #expect(before == 40)
            region.rewind(to: mark)
            #expect(diary.live == 0)
            // Over the place where the elements were.
            _ = try region.allocate(repeating: UInt8(0xFF), count: 3000)
            region.reset()
        }
        #expect(gone.count == 40)
    }

    @Test func noncopyableElements() throws {
        let gone = try RegionWitness.noted { diary in
            let region = Region()
            var array = try region.makeArray(of: RegionToken.self)
            for number in 1...20 { try array.append(RegionToken(witness: RegionWitness(diary, number))) }
            if let last = array.popLast() { #expect(last.witness.number == 20) }
            #expect(diary.gone == [-20, 20])
        }
        #expect(gone.count == 40)
    }

    @Test(arguments: 1...5)
    func randomAppendsAgreeWithString(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let region = try Region(initialChunkSize: 256)
        var text = try region.makeString("begin ")
        var model = "begin "
        for _ in 0..<500 {
            switch random.next() % 6 {
            case 0:
                try text.append("Grüße, 世界 👩‍👩‍👧")
                model.append("Grüße, 世界 👩‍👩‍👧")
            case 1:
                try text.append(Character("é"))
                model.append("é")
            case 2:
                let number = Int64(truncatingIfNeeded: random.next() >> (random.next() % 60))
                try text.append(decimal: number)
                model += String(number)
            case 3:
                try text.append(model.suffix(5))
                model.append(contentsOf: model.suffix(5))
            case 4: _ = try region.allocate(random.next())
            default: break
            }
            let (description, count) = (text.description, text.utf8Count)
            #expect(description == model && count == model.utf8.count)
        }
        let c = try text.finishAsCString()
        let (read, count) = (c.withUnsafePointer { String(cString: $0) }, c.count)
        #expect(read == model && count == model.utf8.count)
    }

    @Test func decimalNumbersAtTheEnds() throws {
        let region = Region()
        for number in [0, 7, -7, 10, .max, .min, -10] {
            var text = try region.makeString()
            try text.append(decimal: number)
            let description = text.description
            #expect(description == String(number))
        }
        var text = try region.makeString()
        try text.append(decimal: Int8.min)
        try text.append(decimal: UInt64.max)
        let description = text.description
        #expect(description == "-12818446744073709551615")
    }

    @Test func anIndexOutOfBoundsTraps() async {
        await #expect(processExitsWith: .failure) {
            let region = Region()
            var array = try region.makeArray(of: Int.self, capacity: 10)
            try array.append(1)
            array[Int(CommandLine.argc)] = 2
        }
    }
}
