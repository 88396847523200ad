// swift-tools-version: 6.2
import PackageDescription

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
            name: "CacheStore", dependencies: ["MemcachedProtocol", .product(name: "Mallow", package: "mallow")]),
        .executableTarget(
            name: "CacheServer",
            dependencies: [
                "CacheStore", "MemcachedProtocol",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "MemcachedProtocolTests", dependencies: ["MemcachedProtocol"]),
        .testTarget(name: "CacheStoreTests", dependencies: ["CacheStore"]),
    ]
)
