// `Mallow` is a module's name and that of the type which stands for the malloc: where both are imported, its members are
// the type's, and what the module has is found without a prefix.

import Mallow
import MallowMalloc

func checkMalloc() {
    #if os(Linux)
        expect(Mallow.isMalloc, "malloc is not Mallow's")
        let before = Mallow.statistics.liveBytes
        guard let block = try? SystemAllocator().allocate(byteCount: 1 << 20).baseAddress else {
            return expect(false, "no block of 1 MiB")
        }
        expect(Mallow.statistics.liveBytes >= before + 1 << 20, "\(Mallow.statistics) after a block of 1 MiB")
        SystemAllocator().deallocate(block)
    #endif
}
