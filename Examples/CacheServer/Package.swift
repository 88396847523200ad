// swift-tools-version: 6.2
import PackageDescription

// What is measured are system calls and cache misses; still, checks that two threads don't change one variable at once
// (which a lock or an event loop sees to) would cost each request some twenty calls of the Swift runtime.
let unchecked: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"])]

let package = Package(
    name: "CacheServer",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "mallow", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // The text protocol: bytes in, requests out. Knows no store and no socket.
        .target(name: "MemcachedProtocol"),
        // The items, in a slab arena. Knows no socket.
        .target(
            name: "CacheStore", dependencies: ["MemcachedProtocol", .product(name: "Mallow", package: "mallow")],
            swiftSettings: unchecked),
        .executableTarget(
            name: "CacheServer",
            dependencies: [
                "CacheStore", "MemcachedProtocol",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: unchecked),
        // The client of Scripts/bench-cache.sh.
        .executableTarget(
            name: "CacheLoad", dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")]),
        .testTarget(name: "MemcachedProtocolTests", dependencies: ["MemcachedProtocol"]),
        .testTarget(name: "CacheStoreTests", dependencies: ["CacheStore"]),
    ]
)
