// Numbers in decimal, as the protocol has them: limits, what is let through, what is none.

import MemcachedProtocol
import Testing

@Suite struct DecimalTests {
    private func unsigned(_ text: String) -> UInt64? { Array(text.utf8).withUnsafeBytes { Decimal.unsigned($0) } }
    private func signed(_ text: String) -> Int64? { Array(text.utf8).withUnsafeBytes { Decimal.signed($0) } }

    @Test func limits() {
        #expect(unsigned("18446744073709551615") == .max)
        #expect(unsigned("18446744073709551616") == nil)
        #expect(signed("9223372036854775807") == .max)
        #expect(signed("9223372036854775808") == nil)
        #expect(signed("-9223372036854775808") == .min)
        #expect(signed("-9223372036854775809") == nil)
    }

    @Test func whatIsLetThrough() {
        #expect(unsigned(" 12") == 12)
        #expect(unsigned("12 ") == 12)
        #expect(unsigned("1 2 3") == 1)
        #expect(unsigned("1\n") == 1)
        #expect(unsigned("1\0x") == 1)
        #expect(unsigned("+1") == 1)
        #expect(unsigned("-0") == 0)
        #expect(unsigned("0000000000000000000000001") == 1)
    }

    @Test(arguments: ["", " ", "-", "+", "- 1", "x", "1x", "0x10", "1.5", "--1", "-1"])
    func whatIsNot(text: String) { #expect(unsigned(text) == nil) }

    @Test func writing() {
        let numbers: [UInt64] = [0, 1, 9, 10, 99, 100, 12345, 9_999_999_999, 10_000_000_000, .max - 1, .max]
        for number in numbers {
            withUnsafeTemporaryAllocation(byteCount: Decimal.longest, alignment: 1) { bytes in
                let count = Decimal.write(number, to: bytes.baseAddress!)
                #expect(String(decoding: bytes[..<count], as: UTF8.self) == "\(number)")
            }
        }
    }
}
