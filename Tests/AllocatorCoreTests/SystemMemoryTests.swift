// The calls that the malloc does not make: protecting, and advice on huge pages; and that each can be made to fail.

import SystemMemory
import Testing

@Suite struct SystemMemoryTests {
    @Test func protect() async {
        let page = SystemMemory.pageSize()
        let address = SystemMemory.map(byteCount: 3 * page)
        let bytes = UnsafeMutablePointer<UInt8>(bitPattern: address)!
        bytes[Int(page)] = 9
        #expect(SystemMemory.protect(address: address + page, byteCount: page, access: .none))
        bytes[0] = 1
        bytes[Int(2 * page)] = 1
        #expect(SystemMemory.protect(address: address + page, byteCount: page, access: .readWrite))
        #expect(bytes[Int(page)] == 9)
        #expect(SystemMemory.unmap(address: address, byteCount: 3 * page))
        // Not mapped any more, or not by this test.
        #expect(!SystemMemory.protect(address: address + 1, byteCount: page, access: .none))
        await #expect(processExitsWith: .failure) {
            let address = SystemMemory.map(byteCount: SystemMemory.pageSize())
            guard SystemMemory.protect(address: address, byteCount: SystemMemory.pageSize(), access: .none) else {
                return
            }
            UnsafeMutablePointer<UInt8>(bitPattern: address)!.pointee = 1
        }
    }

    /// In processes of their own: a plan of failures holds for every thread of a process.
    @Test func madeToFail() async {
        await #expect(processExitsWith: .success) {
            let page = SystemMemory.pageSize()
            let address = SystemMemory.map(byteCount: page)
            FaultInjection.fail(nth: 2, of: [.protect])
            #expect(SystemMemory.protect(address: address, byteCount: page, access: .none))
            #expect(!SystemMemory.protect(address: address, byteCount: page, access: .readWrite))
            #expect(SystemMemory.protect(address: address, byteCount: page, access: .readWrite))
            #expect(FaultInjection.end() == (3, 1))
            FaultInjection.fail(nth: 1, of: [.adviseHugePages])
            #expect(!SystemMemory.adviseHugePages(address: address, byteCount: page))
            #expect(FaultInjection.end() == (1, 1))
            // A plan that names no kinds is the malloc's, which makes neither call.
            FaultInjection.fail(nth: 1, count: .max)
            #expect(SystemMemory.protect(address: address, byteCount: page, access: .readWrite))
            SystemMemory.adviseHugePages(address: address, byteCount: page)
            #expect(FaultInjection.end() == (0, 0))
        }
    }
}
