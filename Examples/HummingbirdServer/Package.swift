// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "HummingbirdServer",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "mallow", path: "../.."),
        // Without the trait for swift-configuration, which this server doesn't need, and which would be built too.
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: ["FullFoundation"]),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // Products in memory: create, read, list, search. Knows no server.
        .target(name: "ProductCatalogue"),
        // The application: routes, middleware, options. A library, so that more than one executable can be it.
        .target(
            name: "CatalogueService",
            dependencies: [
                "ProductCatalogue", .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(name: "HummingbirdServer", dependencies: ["CatalogueService"]),
        // The line that puts a server on Mallow, without a word in its sources.
        .executableTarget(
            name: "HummingbirdServerOnMallow",
            dependencies: ["CatalogueService", .product(name: "MallowMalloc", package: "mallow")]),
        .testTarget(name: "ProductCatalogueTests", dependencies: ["ProductCatalogue"]),
    ]
)
