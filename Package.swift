// swift-tools-version: 6.2
import PackageDescription

// The malloc's own sources are compiled twice: as ordinary modules, for tests and for Swift programs, and as Embedded
// Swift, for the C library, which must run before and after any Swift runtime. `…Embedded` is a symbolic link to the
// same folder. Both are optimised in every configuration: an unoptimised malloc instantiates generic metadata, which
// calls malloc.
// Functions that call none have no frame, although SwiftPM asks for frame pointers: the hit paths are such functions.
// A debug build gives each file an object of its own and still wants the whole module: that takes two threads.
let wholeModule: [SwiftSetting] = [
    .unsafeFlags(["-O", "-wmo", "-enforce-exclusivity=unchecked", "-Xcc", "-momit-leaf-frame-pointer"]),
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
        .library(
            name: "Mallow",
            targets: [
                "Mallow", "RangeAllocators", "AllocatorCore", "ComposableAllocators", "SlabArenas", "SegmentedBuffers",
                "Heaps",
            ]),
        .library(name: "MallowMalloc", targets: ["MallowMalloc"]),
        .library(name: "MallowNIO", targets: ["MallowNIO"]),
        .library(name: "MallowFoundation", targets: ["MallowFoundation"]),
        .library(name: "AllocatorTestKit", targets: ["AllocatorTestKit"]),
        .executable(name: "mallow", targets: ["MallowTool"]),
    ],
    traits: [
        .trait(name: "NIO", description: "MallowNIO: segmented buffers to and from SwiftNIO's ByteBuffer"),
        .trait(name: "Foundation", description: "MallowFoundation: segmented buffers to and from Data"),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // Resolved only where the trait NIO is on.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
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
            name: "MallowABI", dependencies: ["CMallowShims", "SystemMemory", "MallocHeap"],
            exclude: ["exports.txt", "mallow.h"],
            swiftSettings: wholeModule),
        .target(
            name: "MallowABIEmbedded", dependencies: ["CMallowShims", "SystemMemoryEmbedded", "MallocHeapEmbedded"],
            exclude: ["exports.txt", "mallow.h"],
            swiftSettings: embedded),
        // The names of exports.txt in an executable: one jump each.
        .target(name: "CMallowMalloc"),
        .target(
            name: "MallowMalloc",
            dependencies: [
                .target(name: "CMallowMalloc", condition: .when(platforms: [.linux])),
                .target(name: "MallowABI", condition: .when(platforms: [.linux])),
                .target(name: "MallocHeap", condition: .when(platforms: [.linux])),
            ]),
        .target(name: "RangeAllocators"),
        .target(name: "AllocatorCore", dependencies: ["CMallowShims", "SystemMemory"]),
        .target(
            name: "ComposableAllocators",
            dependencies: ["RangeAllocators", "AllocatorCore", "SystemMemory", "CMallowShims"],
            swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "SlabArenas",
            dependencies: ["AllocatorCore", "ComposableAllocators", "SystemMemory", "CMallowShims"],
            swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "SegmentedBuffers",
            dependencies: ["AllocatorCore", "ComposableAllocators", "SystemMemory", "CMallowShims"],
            swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "Heaps", dependencies: ["AllocatorCore", "MallocHeap"]),
        .target(
            name: "Mallow",
            dependencies: [
                "RangeAllocators", "AllocatorCore", "ComposableAllocators", "SlabArenas", "SegmentedBuffers", "Heaps",
            ]),
        // Empty where their traits are off.
        .target(
            name: "MallowNIO",
            dependencies: [
                "Mallow",
                .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["NIO"])),
            ]),
        .target(name: "MallowFoundation", dependencies: ["Mallow"]),
        .target(name: "AllocatorTestKit", dependencies: ["AllocatorCore"]),
        .executableTarget(
            name: "MallowTool",
            dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")]),
        // With those of Heaps: a test that walks the whole heap can be the only one in it.
        .testTarget(
            name: "MallocHeapTests",
            dependencies: [
                "MallocHeap", "Heaps", "AllocatorCore", "ComposableAllocators", "AllocatorTestKit", "SystemMemory",
                "CMallowShims",
            ]),
        .testTarget(name: "RangeAllocatorsTests", dependencies: ["RangeAllocators"]),
        .testTarget(name: "AllocatorCoreTests", dependencies: ["AllocatorCore", "AllocatorTestKit", "SystemMemory"]),
        .testTarget(
            name: "ComposableAllocatorsTests", dependencies: ["Mallow", "AllocatorTestKit", "SystemMemory"],
            exclude: ["Refused", "Accepted"]),
        .testTarget(
            name: "SlabArenasTests", dependencies: ["Mallow", "AllocatorTestKit", "SystemMemory"],
            exclude: ["Refused", "Accepted"]),
        .testTarget(
            name: "SegmentedBuffersTests", dependencies: ["Mallow", "AllocatorTestKit", "SystemMemory"]),
        .testTarget(name: "AllocatorTestKitTests", dependencies: ["Mallow", "AllocatorTestKit"]),
        .testTarget(name: "MallowABITests", exclude: ["Misuse", "Programs", "exported-symbols.txt"]),
        .testTarget(name: "MallowToolTests"),
    ]
)

// Scripts/sanitize.sh builds the tests that it runs and no others: targets, or files of theirs.
if let tests = Context.environment["MALLOW_TESTS"]?.split(separator: " ").map({ $0.split(separator: "/") }) {
    package.targets.removeAll { target in target.isTest && !tests.contains { $0[0] == target.name } }
    for target in package.targets where target.isTest {
        let files = tests.filter { $0[0] == target.name && $0.count == 2 }.map { String($0[1]) }
        if !files.isEmpty { target.sources = files }
    }
}
