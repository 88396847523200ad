// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    // One thread serves everything. Checks that two threads don't change one variable at once would cost each packet
    // some calls of the Swift runtime.
    .unsafeFlags(["-enforce-exclusivity=unchecked"]),
    // The relay and the parser are generic over the buffers: the server's module compiles them anew for each kind.
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

let package = Package(
    name: "StreamServer",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "mallow", path: "../.."),
        // ByteBuffer alone, as the rival: the sockets are this example's own.
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // What Swift's Glibc module leaves out: epoll, signalfd, accept4.
        .target(name: "CLinuxEvents"),
        // MPEG-TS: bytes in, packets and tables out. Knows no socket and no subscriber.
        .target(
            name: "TransportStream", dependencies: [.product(name: "Mallow", package: "mallow")],
            swiftSettings: settings),
        // Who gets which packets, over four kinds of buffers. Knows no socket.
        .target(
            name: "StreamRelay",
            dependencies: [
                "TransportStream", .product(name: "Mallow", package: "mallow"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "StreamServer",
            dependencies: [
                "CLinuxEvents", "StreamRelay", "TransportStream",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        // Streams that the tests make themselves.
        .target(name: "StreamTestKit", dependencies: ["TransportStream"], path: "Tests/StreamTestKit"),
        .testTarget(
            name: "TransportStreamTests",
            dependencies: ["TransportStream", "StreamTestKit", .product(name: "Mallow", package: "mallow")]),
        .testTarget(
            name: "StreamRelayTests",
            dependencies: ["StreamRelay", "StreamTestKit", .product(name: "Mallow", package: "mallow")]),
    ]
)
