// Why a file is refused, or could not be written. Each description is one line: the file, the cause, a way out.

import CMallowShims
import SystemMemory

/// Why a ``SlabFile`` could not be made, opened or saved. Where opening throws it, the file is as it was; where saving
/// does, the arena is, and works on.
public struct SlabFileError: Error, Equatable, Sendable {
    /// What is wrong.
    public enum Kind: Equatable, Sendable {
        /// It does not begin as a slab file does.
        case notASlabFile
        /// It was written by another version of this module: the file's version, and the one that can be read.
        case otherVersion(Int, readable: Int)
        /// It was written on a machine with the other order of bytes.
        case otherByteOrder
        /// It was written on a machine whose pages, of so many bytes, are no multiple of this one's.
        case otherPageSize(Int)
        /// It is shorter than when it was saved.
        case truncated(byteCount: Int, saved: Int)
        /// It was in use when its process or the machine ended, or was changed after it was saved: what is wrong.
        case torn(String)
        /// What is in memory is not what an arena can hold, and is not saved: what is wrong. A chain that was closed to
        /// a ring; or the program wrote where it has no chunk.
        case unsound(String)
        /// It is open already, in another process or in this one.
        case inUse
        /// There is a file of that name, which creating does not replace.
        case alreadyExists
        /// It was closed: nothing more can be done with this object.
        case closed
        /// An arena cannot be made with these arguments: what is wrong.
        case configuration(String)
        /// It would grow beyond ``SlabFile/maximumByteCount``.
        case limitExceeded(limit: Int)
        /// The process has no memory, or no addresses, for it.
        case outOfMemory
        /// The operating system refused: the name of the call in C, and its errno.
        case systemCall(String, errno: Int32)
    }

    /// What is wrong.
    public var kind: Kind
    /// The file.
    public var path: String

    init(_ kind: Kind, _ path: String) {
        self.kind = kind
        self.path = path
    }

    init(_ call: FailedCall, _ path: String) { self.init(.systemCall(call.name, errno: call.code), path) }
}

extension SlabFileError: CustomStringConvertible {
    public var description: String { "SlabFile: \(path): \(cause)" }

    private var cause: String {
        switch kind {
        case .notASlabFile: return "is not a slab file: open another, or create one under another name"
        case .otherVersion(let version, let readable):
            return "has format version \(version), and this program reads \(readable): use the program that wrote it"
        case .otherByteOrder:
            return "was written with the other byte order: use it on a machine like the one it is from"
        case .otherPageSize(let size):
            return "was written for pages of \(size) bytes, which are not whole pages here: use it on a machine like "
                + "the one it is from"
        case .truncated(let count, let saved):
            return "was cut short: \(count) of \(saved) bytes are left; restore it from a copy, or delete it"
        case .torn(let what): return "is torn: \(what); restore it from a copy, or delete it and create it anew"
        case .unsound(let what): return "is not saved: \(what); find out how it came to that"
        case .inUse: return "is open already: close it there first"
        case .alreadyExists: return "exists already: open it, or delete it first"
        case .closed: return "was closed: open it again"
        case .configuration(let what): return "cannot be created: \(what)"
        case .limitExceeded(let limit):
            return "would grow beyond its limit of \(limit) bytes: release chunks, or raise maximumByteCount"
        case .outOfMemory:
            return "finds no memory or addresses in this process: release some, or open it in a process with more"
        case .systemCall(let name, let code):
            return "\(name) failed: \(String(cString: strerror(code))) (errno \(code)): \(Self.wayOut(code))"
        }
    }

    private static func wayOut(_ code: Int32) -> String {
        switch code {
        case ENOENT: "create it, or correct the path"
        case EACCES, EPERM, EROFS: "get the right to read and write it"
        case ENOSPC, EDQUOT: "make room on the disk and try again"
        case EFBIG: "raise the limit on file sizes (ulimit -f), or release chunks"
        case EISDIR: "name a file in it"
        case EIO: "check the disk, and restore the file from a copy if it is not whole"
        default: "see to that and try again"
        }
    }
}
