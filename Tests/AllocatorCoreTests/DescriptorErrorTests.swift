import AllocatorCore
import Foundation
import Testing

@Suite struct DescriptorErrorTests {
    @Test func tellsTheCallAndWhatWasWrong() {
        let error = DescriptorError(call: "writev", code: EBADF)
        #expect(error.description == "writev: Bad file descriptor (9)")
        #expect(DescriptorError(call: "readv", code: 123_456).description == "readv: Unknown error 123456 (123456)")
        #expect(error == DescriptorError(call: "writev", code: EBADF))
        #expect(error != DescriptorError(call: "readv", code: EBADF))
    }

    @Test func nothingYetIsNoFailure() {
        for code in [EAGAIN, EWOULDBLOCK] { #expect(DescriptorError(call: "readv", code: code).isWouldBlock) }
        for code in [EINTR, EBADF, EIO, 0] { #expect(!DescriptorError(call: "readv", code: code).isWouldBlock) }
    }
}
