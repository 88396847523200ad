// swift-tools-version: 6.2
import PackageDescription

// A user's package whose programs run on Mallow's malloc: one product named among a target's dependencies, by a
// version; no experimental feature, no unsafe flag. run.sh makes the repository that the version is a tag of.
let package = Package(
    name: "MallocClientPackage",
    platforms: [.macOS(.v15)],
    dependencies: [.package(url: "../../.build/malloc-client/mallow.git", from: "1.0.0")],
    targets: [
        .target(name: "CProbe"),
        .executableTarget(
            name: "importing", dependencies: ["CProbe", .product(name: "MallowMalloc", package: "mallow")]),
        .executableTarget(name: "quiet", dependencies: ["CProbe", .product(name: "MallowMalloc", package: "mallow")]),
    ]
)
