/// Blocks that were live when an allocator was closed. Nothing was freed, so that they can be looked at.
public struct LeakError: Error, Equatable, Sendable {
    /// Blocks that came from one place in the program.
    public struct Site: Equatable, Sendable {
        /// Where they were allocated: `Module/File.swift:12`, or a function's name.
        public var location: String
        /// How many of the live blocks came from there.
        public var blocks: Int
        /// Usable bytes of these blocks.
        public var bytes: Int
        /// The calls that led there, innermost first; empty unless stacks were asked for.
        public var stack: [String]

        /// Makes a site: so many live blocks, of so many usable bytes in all.
        public init(location: String, blocks: Int, bytes: Int, stack: [String] = []) {
            self.location = location
            self.blocks = blocks
            self.bytes = bytes
            self.stack = stack
        }
    }

    /// The type of the allocator, or of each that leaks where several were closed together.
    public var allocator: String
    /// How many blocks were live.
    public var blocks: Int
    /// Usable bytes of the blocks.
    public var bytes: Int
    /// Where they came from, the most bytes first; empty where nobody tracked.
    public var sites: [Site]

    /// Makes an error: so many live blocks, of so many usable bytes in all.
    ///
    /// - Parameters:
    ///   - allocator: the type of the allocator.
    ///   - blocks: how many blocks are live.
    ///   - bytes: their usable bytes.
    ///   - sites: where they came from, the most bytes first; empty where nobody tracked.
    public init(allocator: String, blocks: Int, bytes: Int, sites: [Site] = []) {
        self.allocator = allocator
        self.blocks = blocks
        self.bytes = bytes
        self.sites = sites
    }

    /// The leak of a combinator: its parts' together.
    package static func combining(_ leaks: LeakError?...) -> LeakError? { combining(leaks) }

    package static func combining(_ leaks: [LeakError?]) -> LeakError? {
        let leaks = leaks.compactMap { $0 }
        guard var all = leaks.first else { return nil }
        for leak in leaks.dropFirst() {
            all.allocator += ", " + leak.allocator
            all.blocks += leak.blocks
            all.bytes += leak.bytes
            all.sites += leak.sites
        }
        return all
    }
}

extension LeakError: CustomStringConvertible {
    public var description: String {
        var text = "\(allocator): \(Self.amount(blocks, bytes)) still live"
        for site in sites.sorted(by: { $0.bytes > $1.bytes }) {
            text += "\n    \(Self.amount(site.blocks, site.bytes)) from \(site.location)"
            for call in site.stack { text += "\n        \(call)" }
        }
        return text
    }

    private static func amount(_ blocks: Int, _ bytes: Int) -> String {
        "\(blocks) block\(blocks == 1 ? "" : "s") of \(bytes) byte\(bytes == 1 ? "" : "s")"
            + (blocks == 1 ? "" : " in all")
    }
}
