// swift-tools-version: 6.2
import PackageDescription

// The malloc's own sources are compiled twice: as ordinary modules, for tests and for Swift programs, and as Embedded
// Swift, for the C library, which must run before and after any Swift runtime. `…Embedded` is a symbolic link to the
// same folder. Both are optimised in every configuration: an unoptimised malloc instantiates generic metadata, which
// calls malloc.
// A debug build gives each file an object of its own and still wants the whole module: that takes two threads.
let wholeModule: [SwiftSetting] = [
    .unsafeFlags(["-O", "-wmo", "-enforce-exclusivity=unchecked"]),
    .unsafeFlags(["-num-threads", "2"], .when(configuration: .debug)),
]

let embedded: [SwiftSetting] =
    wholeModule + [
        // One object a module: what Scripts/build-library.sh links.
        .unsafeFlags(["-num-threads", "0"], .when(configuration: .release)),
        .enableExperimentalFeature("Embedded"),
        .enableExperimentalFeature("SymbolLinkageMarkers"),
        .unsafeFlags([
            "-Xfrontend", "-disable-stack-protector", "-Xfrontend", "-function-sections",
            "-Xfrontend", "-trap-function", "-Xfrontend", "mallow_trapped",
        ]),
    ]

let package = Package(
    name: "mallow",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Mallow", targets: ["Mallow", "AllocatorCore", "ComposableAllocators", "SlabArenas"]),
        .library(name: "AllocatorTestKit", targets: ["AllocatorTestKit"]),
        .executable(name: "mallow", targets: ["MallowTool"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")
    ],
    targets: [
        .target(name: "CMallowShims"),
        .target(name: "SystemMemory", dependencies: ["CMallowShims"], swiftSettings: wholeModule),
        .target(name: "MallocHeap", dependencies: ["CMallowShims", "SystemMemory"], swiftSettings: wholeModule),
        .target(name: "SystemMemoryEmbedded", dependencies: ["CMallowShims"], swiftSettings: embedded),
        .target(
            name: "MallocHeapEmbedded", dependencies: ["CMallowShims", "SystemMemoryEmbedded"],
            swiftSettings: embedded),
        .target(
            name: "MallowABI", dependencies: ["CMallowShims", "SystemMemoryEmbedded", "MallocHeapEmbedded"],
            exclude: ["exports.txt", "mallow.h"],
            swiftSettings: embedded),
        .target(name: "AllocatorCore", dependencies: ["CMallowShims", "SystemMemory"]),
        .target(
            name: "ComposableAllocators", dependencies: ["AllocatorCore", "SystemMemory", "CMallowShims"],
            swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "SlabArenas",
            dependencies: ["AllocatorCore", "ComposableAllocators", "SystemMemory", "CMallowShims"],
            swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "Mallow", dependencies: ["AllocatorCore", "ComposableAllocators", "SlabArenas"]),
        .target(name: "AllocatorTestKit", dependencies: ["AllocatorCore"]),
        .executableTarget(
            name: "MallowTool",
            dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")]),
        .testTarget(name: "MallocHeapTests", dependencies: ["MallocHeap", "SystemMemory", "CMallowShims"]),
        .testTarget(name: "AllocatorCoreTests", dependencies: ["AllocatorCore", "AllocatorTestKit", "SystemMemory"]),
        .testTarget(
            name: "ComposableAllocatorsTests", dependencies: ["Mallow", "AllocatorTestKit", "SystemMemory"],
            exclude: ["Refused", "Accepted"]),
        .testTarget(
            name: "SlabArenasTests", dependencies: ["Mallow", "AllocatorTestKit", "SystemMemory"],
            exclude: ["Refused", "Accepted"]),
        .testTarget(name: "AllocatorTestKitTests", dependencies: ["Mallow", "AllocatorTestKit"]),
        .testTarget(name: "MallowABITests", exclude: ["Programs", "exported-symbols.txt"]),
        .testTarget(name: "MallowToolTests"),
    ]
)
