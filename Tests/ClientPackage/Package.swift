// swift-tools-version: 6.2
import PackageDescription

// A user's package: no experimental feature, no unsafe flag.
let package = Package(
    name: "ClientPackage",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "mallow", path: "../..")],
    targets: [
        .executableTarget(
            name: "client",
            dependencies: [
                .product(name: "Mallow", package: "mallow"), .product(name: "MallowMalloc", package: "mallow"),
            ])
    ]
)
