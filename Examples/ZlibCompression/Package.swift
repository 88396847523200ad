// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "ZlibCompression",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "mallow", path: "../..")],
    targets: [
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        .executableTarget(
            name: "ZlibCompression", dependencies: ["CZlib", .product(name: "Mallow", package: "mallow")]),
    ]
)
