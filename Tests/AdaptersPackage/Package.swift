// swift-tools-version: 6.2
import PackageDescription

// A user's package that has the adapters on: no experimental feature, no unsafe flag.
let package = Package(
    name: "AdaptersPackage",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "mallow", path: "../..", traits: ["NIO", "Foundation"]),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        .executableTarget(
            name: "adapters",
            dependencies: [
                .product(name: "Mallow", package: "mallow"),
                .product(name: "MallowNIO", package: "mallow"),
                .product(name: "MallowFoundation", package: "mallow"),
                .product(name: "AllocatorTestKit", package: "mallow"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ])
    ]
)
