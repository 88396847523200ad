// swift-tools-version: 6.2
// The benchmarks of Mallow, a package of its own so that users of Mallow never resolve or build them.
// `MallocWorkloads` (C) runs one workload under whatever malloc is preloaded; `malloc-bench` (Swift) runs them all
// under every malloc it finds and compares. `allocator-bench` (Swift) compares the allocators that programs compose
// with malloc, std::pmr and Boost.Pool (`AllocatorRivals`, C++), all in one program; `slab-bench` does the same with
// slab arenas and with what else counts references (`SlabRivals`, C++, and SwiftNIO); `range-bench` with range
// allocators and trees of free ranges (`RangeRivals`, C++); `segment-bench` with scalable memory, segmented buffers and
// their reader, and SwiftNIO's. What they share is `BenchSupport`.

import PackageDescription

// As in MallocWorkloads: optimised in every configuration, and malloc is an ordinary function. C++20 would take headers
// that a module map names for modules, which nobody has built.
let rivalFlags = ["-O2", "-Wall", "-Wextra", "-fno-builtin-malloc", "-fno-builtin-free", "-fno-cxx-modules"]

// Headers that Scripts/fetch-vma.sh unpacks, where it did.
let vmaFlags = ["-isystem", "\(Context.packageDirectory)/.build/vma/usr/include"]

let package = Package(
    name: "MallowBenchmarks",
    products: [
        .executable(name: "MallocWorkloads", targets: ["MallocWorkloads"]),
        .executable(name: "malloc-bench", targets: ["MallocBench"]),
        .executable(name: "allocator-bench", targets: ["AllocatorBench"]),
        .executable(name: "slab-bench", targets: ["SlabBench"]),
        .executable(name: "range-bench", targets: ["RangeBench"]),
        .executable(name: "segment-bench", targets: ["SegmentBench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(name: "mallow", path: ".."),
    ],
    targets: [
        .executableTarget(
            name: "MallocWorkloads",
            cSettings: [
                .define("_GNU_SOURCE"),
                // Optimised in every configuration, and malloc is an ordinary function: the compiler may neither
                // remove a pair of malloc and free nor turn malloc and memset into calloc.
                .unsafeFlags([
                    "-O2", "-Wall", "-Wextra", "-fno-builtin-malloc", "-fno-builtin-free", "-fno-builtin-calloc",
                    "-fno-builtin-realloc", "-fno-builtin-aligned_alloc", "-fno-builtin-posix_memalign",
                    // A square root is an instruction, not a call that needs libm.
                    "-fno-math-errno",
                ]),
            ],
            // With link_without_swift.c: a C program needs no Swift runtime.
            linkerSettings: [.unsafeFlags(["-nostartfiles"])]
        ),
        .executableTarget(
            name: "MallocBench",
            dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: [.treatAllWarnings(as: .error)]
        ),
        .target(name: "CBenchSupport", cxxSettings: [.unsafeFlags(rivalFlags)]),
        .target(
            name: "BenchSupport",
            dependencies: ["CBenchSupport", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: [.treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault")]
        ),
        .target(
            name: "AllocatorRivals", dependencies: ["CBenchSupport"], cxxSettings: [.unsafeFlags(rivalFlags)]
        ),
        .executableTarget(
            name: "AllocatorBench",
            dependencies: [
                "AllocatorRivals", "BenchSupport", "CBenchSupport",
                .product(name: "Mallow", package: "mallow"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)]
        ),
        .target(name: "SlabRivals", dependencies: ["CBenchSupport"], cxxSettings: [.unsafeFlags(rivalFlags)]),
        .executableTarget(
            name: "SlabBench",
            dependencies: [
                "SlabRivals", "BenchSupport", "CBenchSupport",
                .product(name: "Mallow", package: "mallow"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)]
        ),
        .target(
            name: "RangeRivals", dependencies: ["CBenchSupport"], cxxSettings: [.unsafeFlags(rivalFlags + vmaFlags)]),
        .executableTarget(
            name: "RangeBench",
            dependencies: [
                "RangeRivals", "BenchSupport", "CBenchSupport",
                .product(name: "Mallow", package: "mallow"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)]
        ),
        .executableTarget(
            name: "SegmentBench",
            dependencies: [
                "BenchSupport", "CBenchSupport",
                .product(name: "Mallow", package: "mallow"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)]
        ),
    ],
    swiftLanguageModes: [.v6],
    // It has std::make_shared of arrays.
    cxxLanguageStandard: .cxx20
)
