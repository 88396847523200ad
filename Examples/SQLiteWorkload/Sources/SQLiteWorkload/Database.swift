// As much of SQLite as the workload needs.

import CSQLite

final class Database {
    private var handle: OpaquePointer?

    init(_ path: String) {
        check(sqlite3_open(path, &handle))
    }

    func close() {
        check(sqlite3_close(handle))
        handle = nil
    }

    func check(_ status: Int32) {
        guard status == SQLITE_OK || status == SQLITE_DONE || status == SQLITE_ROW else {
            fail("SQLite: \(String(cString: sqlite3_errmsg(handle)))")
        }
    }

    func execute(_ statement: String) {
        check(sqlite3_exec(handle, statement, nil, nil, nil))
    }

    /// Runs a statement once for each row of values.
    func executeMany(_ statement: String, _ count: Int, _ values: (Int) -> [Value]) {
        execute("BEGIN")
        let prepared = prepare(statement)
        for row in 0..<count {
            bind(values(row), to: prepared)
            check(sqlite3_step(prepared))
            check(sqlite3_reset(prepared))
        }
        check(sqlite3_finalize(prepared))
        execute("COMMIT")
    }

    /// Prepares, runs and finalises a statement, and folds all that it returns into a number.
    func query(_ statement: String, _ values: [Value] = []) -> UInt64 {
        let prepared = prepare(statement)
        defer { check(sqlite3_finalize(prepared)) }
        bind(values, to: prepared)
        var sum: UInt64 = 14_695_981_039_346_656_037
        while true {
            let status = sqlite3_step(prepared)
            check(status)
            if status == SQLITE_DONE { return sum }
            for column in 0..<sqlite3_column_count(prepared) {
                let bytes = sqlite3_column_text(prepared, column)
                let count = Int(sqlite3_column_bytes(prepared, column))
                for byte in UnsafeBufferPointer(start: bytes, count: count) {
                    sum = (sum ^ UInt64(byte)) &* 1_099_511_628_211
                }
            }
        }
    }

    enum Value {
        case integer(Int)
        case text(String)
    }

    private func prepare(_ statement: String) -> OpaquePointer? {
        var prepared: OpaquePointer?
        check(sqlite3_prepare_v2(handle, statement, -1, &prepared, nil))
        return prepared
    }

    private func bind(_ values: [Value], to prepared: OpaquePointer?) {
        for (index, value) in values.enumerated() {
            switch value {
            case .integer(let number): check(sqlite3_bind_int64(prepared, Int32(index + 1), Int64(number)))
            case .text(let text):
                // SQLite copies: SQLITE_TRANSIENT, a macro that Swift does not see.
                let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
                check(sqlite3_bind_text(prepared, Int32(index + 1), text, -1, transient))
            }
        }
    }
}
