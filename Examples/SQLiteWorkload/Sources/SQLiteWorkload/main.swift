// SQLite at work on a few hundred thousand rows in memory, once on the system's malloc and once on a ladder of pools.

import CSQLite
import CSQLiteHooks
import Foundation
import Mallow

let rows = 300_000

/// Inserts, an index, groups, updates, deletes, and many small queries: each prepared, run and finalised.
func work() -> UInt64 {
    let database = Database(":memory:")
    database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT)")
    database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER, note TEXT)")
    database.executeMany("INSERT INTO customers VALUES (?, ?, ?)", rows / 10) { row in
        [.integer(row), .text("customer number \(row)"), .text("city \(row % 97)")]
    }
    database.executeMany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows) { row in
        let words = String(repeating: "an order of some kind ", count: row % 7)
        return [
            .integer(row), .integer(row &* 7919 % (rows / 10)), .integer(row &* 31 % 1000), .text("\(words)\(row)"),
        ]
    }
    database.execute("CREATE INDEX orders_by_customer ON orders (customer)")
    var sum = database.query(
        """
        SELECT city, count(*), sum(amount), max(note) FROM orders JOIN customers ON customers.id = customer
        GROUP BY city ORDER BY city
        """)
    for customer in stride(from: 0, to: rows / 10, by: 2) {
        sum =
            sum &* 31
            &+ database.query(
                "SELECT count(*), group_concat(note, '; ') FROM orders WHERE customer = ?", [.integer(customer)])
    }
    database.executeMany("UPDATE orders SET note = note || ?, amount = amount + 1 WHERE customer = ?", rows / 30) {
        [.text(" (changed \($0))"), .integer($0 * 3)]
    }
    database.executeMany("DELETE FROM orders WHERE customer = ?", rows / 40) { [.integer($0 * 4)] }
    sum = sum &* 31 &+ database.query("SELECT note FROM orders WHERE note LIKE '%kind 1%' ORDER BY note DESC")
    sum = sum &* 31 &+ database.query("SELECT count(*), sum(amount), sum(length(note)) FROM orders")
    database.close()
    return sum
}

/// SQLite's methods over the allocator that is registered.
func useRegisteredAllocator() {
    var methods = sqlite3_mem_methods(
        xMalloc: { RegisteredCAllocator.malloc(Int($0)) },
        xFree: { RegisteredCAllocator.free($0) },
        xRealloc: { RegisteredCAllocator.realloc($0, Int($1)) },
        xSize: { Int32(RegisteredCAllocator.usableSize($0)) },
        // What the pools add is found by xSize.
        xRoundup: { ($0 + 7) & ~7 },
        xInit: { _ in SQLITE_OK },
        xShutdown: { _ in },
        pAppData: nil)
    guard sqlite_hooks_set_methods(&methods) == SQLITE_OK else { fail("SQLite takes no methods") }
}

func run(_ side: Side) throws -> Run {
    let pool = try TieredAllocator(blockSizes: [32, 64, 128, 256, 512, 1024, 2048, 4608, 8192])
    if side == .mallow {
        // SQLite calls its methods one at a time, as long as it counts its memory: the pool needs no lock.
        try RegisteredCAllocator.registerUnchecked(pool)
        useRegisteredAllocator()
    }
    guard sqlite3_initialize() == SQLITE_OK else { fail("SQLite does not start") }
    var checksum: UInt64 = 0
    let time = ContinuousClock().measure { checksum = work() }
    var peakBlocks: sqlite3_int64 = 0
    var blocks: sqlite3_int64 = 0
    sqlite3_status64(SQLITE_STATUS_MALLOC_COUNT, &blocks, &peakBlocks, 0)
    // SQLite's own account after its end, which has bytes only, and ours. How many blocks the bytes are is not known:
    // those of before the end, and one at least.
    guard sqlite3_shutdown() == SQLITE_OK else { fail("SQLite does not end") }
    var leaked = sqlite3_memory_used() == 0 ? 0 : max(1, Int(blocks))
    if side == .mallow {
        leaked += RegisteredCAllocator.findLeaks()?.blocks ?? 0
        if leaked == 0 {
            try RegisteredCAllocator.unregister()
            try pool.close()
        }
    }
    return Run(
        milliseconds: Double(time.components.attoseconds) / 1e15 + Double(time.components.seconds) * 1e3,
        blocks: Int(peakBlocks), leakedBlocks: leaked, checksum: checksum)
}

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.count == 2, arguments[0] == "--run", let side = Side(rawValue: arguments[1]) {
    var result = try run(side)
    result.peakKiB = peakKiB()
    print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
} else {
    print("SQLite \(String(cString: sqlite3_libversion())): \(rows) orders of \(rows / 10) customers, in memory")
    try compare(rounds: 5, blocks: "most blocks")
    print("every run had the same results")
}
