// The table from addresses to values, against a dictionary.

import AllocatorTestKit
import Testing

@testable import AllocatorCore

@Suite struct AddressTableTests {
    // Mutating calls have no place in an expectation.
    private func insert<Value>(_ table: inout AddressTable<Value>, _ address: UInt, _ value: Value) -> Bool {
        table.insert(address, value)
    }

    private func remove<Value>(_ table: inout AddressTable<Value>, _ address: UInt) -> Value? { table.remove(address) }

    /// Addresses as blocks have them: few, so that there are hits, and far apart or near each other.
    @Test(arguments: [(1, 16), (2, 4096), (3, 1 << 21), (4, 1)] as [(UInt64, UInt)])
    func agreesWithADictionary(seed: UInt64, stride: UInt) {
        var random = SeededGenerator(seed: seed)
        var table = AddressTable<Int>()
        defer { table.removeAll() }
        var model: [UInt: Int] = [:]
        for step in 0..<6000 {
            // Grows for a while, then drains, several times.
            let growing = step % 2000 < 1300
            let address = (UInt.random(in: 1...700, using: &random)) * stride
            #expect(table[address] == model[address])
            if Int.random(in: 0..<10, using: &random) < (growing ? 8 : 2) {
                if let found = table.find(address) {
                    found.pointee = step
                } else {
                    #expect(insert(&table, address, step))
                }
                model[address] = step
            } else {
                let old = model.removeValue(forKey: address)
                #expect(remove(&table, address) == old)
            }
            #expect(table.count == model.count)
            #expect(table.count * 4 <= table.capacity * 3)
            if step % 97 == 0 {
                var seen: [UInt: Int] = [:]
                var visits = 0
                func see(_ address: UInt, _ value: Int) {
                    seen[address] = value
                    visits += 1
                }
                table.visit(see)
                #expect(seen == model)
                #expect(visits == model.count)
            }
        }
    }

    @Test func takesNoMemoryWhileEmpty() {
        var table = AddressTable<UInt8>()
        #expect(table.byteCount == 0)
        #expect(table.find(16) == nil)
        #expect(remove(&table, 16) == nil)
        func see(_ address: UInt, _: UInt8) { Issue.record("\(address) is in an empty table") }
        table.visit(see)
        #expect(insert(&table, 16, 1))
        #expect(table.byteCount == 16 * MemoryLayout<AddressTable<UInt8>.Entry>.stride)
        table.removeAll()
        #expect(table.byteCount == 0)
        #expect(table.count == 0)
        #expect(table[16] == nil)
        table.removeAll()
    }

    /// Addresses with one home make a long run, from which any may go.
    @Test func removalKeepsWhatComesLaterInARun() {
        var random = SeededGenerator(seed: 9)
        var table = AddressTable<Int>()
        defer { table.removeAll() }
        #expect(insert(&table, 1, 0))
        let home = table.home(1)
        var addresses = (2...5000 as ClosedRange<UInt>).filter { table.home($0) == home }
        addresses = Array(addresses.prefix(10))
        for address in addresses { #expect(insert(&table, address, Int(address))) }
        #expect(table.capacity == 16)
        addresses.shuffle(using: &random)
        while let address = addresses.popLast() {
            #expect(remove(&table, address) == Int(address))
            for left in addresses { #expect(table[left] == Int(left)) }
            #expect(table[1] == 0)
        }
    }

    @Test func errorsOfTheBodyPassThrough() {
        struct Stop: Error {}
        var table = AddressTable<Int>()
        defer { table.removeAll() }
        for address in 1...20 as ClosedRange<UInt> { #expect(insert(&table, address, 0)) }
        var visited = 0
        func see(_: UInt, _: Int) throws {
            visited += 1
            if visited == 5 { throw Stop() }
        }
        #expect(throws: Stop.self) { try table.visit(see) }
        #expect(visited == 5)
    }
}
