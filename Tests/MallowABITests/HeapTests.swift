// First-class heaps as C sees them, with and without exact statistics.

import Foundation
import Testing

@Suite struct FirstClassHeapTests {
    @Test func conform() async throws {
        let folder = try Library.shared().deletingLastPathComponent().path
        let header = try Library.headers().path
        let flags = ["-I\(header)", "-L\(folder)", "-Wl,-rpath,\(folder)", "-lmallow", "-pthread"]
        var command = Command(try await Workshop.shared.program("heaps.c", flags: flags).path)
        for report in ["", "/dev/null"] {
            command.environment["MALLOW_STATS"] = report
            let outcome = try await command.run()
            #expect(outcome.succeeded && outcome.errorText == "", "\(outcome.summary)")
            #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
        }
    }
}
