// Uses the public interface as a user's program does, and counts what ends: exits with 1, and a line for each thing
// that is wrong, where a deinit ran not once or a block was not freed.

import Mallow

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@main
struct Client {
    static func main() {
        checkBoxes()
        checkRegions()
        checkPools()
        checkCompositions()
        checkSlabBuffers()
        checkRangedMemory()
        checkRecyclableMemory()
        checkMalloc()
        print(failures == 0 ? "every value ended once and every block was freed" : "\(failures) failures")
        exit(failures == 0 ? 0 : 1)
    }
}
