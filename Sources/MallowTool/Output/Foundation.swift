// JSON comes from the smaller half of Foundation where there are two: ArgumentParser links that one anyway.

#if canImport(FoundationEssentials)
    @_exported import FoundationEssentials
#else
    @_exported import Foundation
#endif
