// Freeing, reallocating or measuring what is not the start of a live block ends the program by SIGABRT, after one line
// on standard error that names Mallow and the address.

import Foundation
import Testing

@Suite struct MisuseTests {
    static let ways = [
        "free_static", "free_static_page", "free_stack", "free_mapping", "free_inside_mapping", "free_function",
        "free_literal", "free_low_address", "free_64_plus_1", "free_64_plus_8", "free_64_plus_16",
        "free_64_plus_32", "free_8_plus_4", "free_1000_plus_512", "free_40KiB_plus_16", "free_40KiB_plus_8KiB",
        "free_300KiB_plus_16", "free_300KiB_plus_64KiB", "free_20MiB_plus_16", "free_20MiB_plus_4KiB",
        "free_20MiB_plus_8MiB", "double_free_8", "double_free_64", "double_free_1000", "double_free_64_after_10",
        "double_free_8_after_10", "double_free_64_given_back", "double_free_3000_given_back", "double_free_100KiB",
        "double_free_1MiB", "double_free_20MiB", "realloc_static",
        "realloc_stack", "realloc_mapping", "realloc_64_plus_16", "realloc_20MiB_plus_4KiB", "usable_size_static",
        "usable_size_stack", "usable_size_mapping",
    ]

    @Test func listIsWhole() async throws {
        let outcome = try await Command(Workshop.shared.program("misuse.c").path).runOrThrow()
        #expect(outcome.lines == Self.ways)
    }

    @Test(arguments: ways)
    func endsTheProgram(way: String) async throws {
        let outcome = try await Command(Workshop.shared.program("misuse.c").path, way).preloaded().run()
        #expect(outcome.ending == .killed(signal: SIGABRT), "\(way) \(outcome.summary)")
        let address = try #require(outcome.lines.first)
        #expect(address.hasPrefix("0x"))
        #expect(outcome.errorLines.count == 1, "\(way): \(outcome.errorText)")
        #expect(outcome.errorText.hasSuffix("\n"), "\(way): the line is not ended")
        #expect(outcome.errorText.contains("mallow"), "\(way): \(outcome.errorText)")
        let words = outcome.errorText.split { !$0.isLetter && !$0.isNumber }
        #expect(words.contains { $0 == address }, "\(way): \(address) is not in: \(outcome.errorText)")
    }
}
