// Where a call came from: a file and a line, return addresses, or both. Names are looked up only when they are asked
// for.

import CMallowShims
import Synchronization

/// The origin of a block.
struct CallOrigin {
    /// Frames of this package that may lie above the caller's.
    private static var ownFrames: Int { 16 }

    private var file: StaticString?
    private var line: UInt = 0
    /// Innermost first.
    private var addresses: [UInt] = []

    /// A direct call.
    init(file: StaticString, line: UInt, stackDepth: Int) {
        self.file = file
        self.line = line
        if stackDepth > 0 { addresses = Self.returnAddresses(stackDepth + Self.ownFrames) }
    }

    /// A call through a generic or an existential.
    init(stackDepth: Int) {
        addresses = Self.returnAddresses(max(stackDepth, 1) + Self.ownFrames)
    }

    private static func returnAddresses(_ count: Int) -> [UInt] {
        withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: count) { buffer in
            buffer.initialize(repeating: nil)
            let found = mallow_return_addresses(buffer.baseAddress, CInt(count))
            return buffer.prefix(Int(found)).map { UInt(bitPattern: $0) }
        }
    }

    /// `Module/File.swift:12`, or the name of the function that called.
    var location: String {
        if let file { return "\(file):\(line)" }
        return stack(depth: 1).first ?? "an unknown place"
    }

    /// The names of the callers outside this package, innermost first.
    func stack(depth: Int) -> [String] {
        guard depth > 0, !addresses.isEmpty else { return [] }
        return CodeNames.shared.withLock { names in
            var found: [String] = []
            for address in addresses {
                let name = names[address]
                if found.isEmpty && name.isOwn { continue }
                found.append(name.text)
                if found.count == depth { break }
            }
            return found
        }
    }
}

/// Names of the code at return addresses, each looked up once.
struct CodeNames {
    struct Name {
        var text: String
        /// Whether the code is this package's, or the standard library's.
        var isOwn: Bool
    }

    /// How the symbols begin that are skipped on the way to the caller: those of this package's modules, and of the
    /// standard library's functions in between.
    private static let ownPrefixes =
        ["mallow_return_addresses", "___interceptor_", "__interceptor_", "$ss"]
        + [
            "AllocatorCore", "ComposableAllocators", "AllocatorTestKit", "SlabArenas", "SegmentedBuffers", "Heaps",
        ].map { "$s\($0.utf8.count)\($0)" }

    /// One for the program: a large program's symbols take a tenth of a second to read.
    static let shared = Mutex(CodeNames())

    private var known: [UInt: Name] = [:]
    private var symbols: [String: ExecutableSymbols] = [:]

    subscript(address: UInt) -> Name {
        mutating get {
            if let name = known[address] { return name }
            let name = find(address)
            known[address] = name
            return name
        }
    }

    private mutating func find(_ returnAddress: UInt) -> Name {
        // A return address is behind its call, which may be a function's last instruction.
        let address = returnAddress - 1
        let code = mallow_find_code(UnsafeRawPointer(bitPattern: address))
        guard let file = code.file else { return Name(text: "0x" + String(address, radix: 16), isOwn: false) }
        let start = UInt(bitPattern: code.start)
        let path = String(cString: file)
        let offset = address - start
        // What a program does not export, its file may still name.
        let mangled =
            code.symbol.map { String(cString: $0) } ?? table(path).name(at: address, fileStart: start)
        guard let mangled else {
            let base = path.split(separator: "/").last.map(String.init) ?? path
            return Name(text: "\(base) + 0x" + String(offset, radix: 16), isOwn: false)
        }
        return Name(
            text: Self.demangled(mangled), isOwn: Self.ownPrefixes.contains { mangled.hasPrefix($0) })
    }

    private mutating func table(_ path: String) -> ExecutableSymbols {
        if let table = symbols[path] { return table }
        // The program itself goes by the name that it was called by.
        let table = ExecutableSymbols(path: path.hasPrefix("/") ? path : "/proc/self/exe")
        symbols[path] = table
        return table
    }

    private static func demangled(_ name: String) -> String {
        name.withCString {
            guard let readable = swift_demangle($0, strlen($0), nil, nil, 0) else { return name }
            defer { free(readable) }
            return String(cString: readable)
        }
    }
}
