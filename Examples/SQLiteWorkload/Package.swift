// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "SQLiteWorkload",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "mallow", path: "../..")],
    targets: [
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite3"])]),
        // sqlite3_config is variadic, which Swift cannot call.
        .target(name: "CSQLiteHooks", dependencies: ["CSQLite"]),
        .executableTarget(
            name: "SQLiteWorkload",
            dependencies: ["CSQLite", "CSQLiteHooks", .product(name: "Mallow", package: "mallow")]),
    ]
)
