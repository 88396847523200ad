// Reads the trace of a process that valgrind's tool "lackey" writes: each instruction, each access to memory, and which
// thread runs. It counts what happens inside the program's calls of the malloc family: instructions, those that lock a
// cache line, and writes to lines that more than one thread accesses.
//
//     I  0484215a,4            an instruction: its address and length
//      S 1ffeffe8d8,8          what it writes (L reads, M reads and writes)
//     --123--   SCHED[2]:  acquired lock (…)     thread 2 runs from here on
//
// A call begins where an instruction of the program's is followed by the first of `malloc` or its family, and lasts
// until the thread is back in the program. What malloc does besides (when a thread starts or ends) is not in it. Stacks
// and thread-local memory are no shared lines, although a later thread may have them again.
//
// Valgrind runs one thread at a time: an exchange that fails because another processor was quicker does not happen
// here.

struct AccessTrace {
    struct Counts {
        var allocations = 0
        var frees = 0
        var instructions = 0
        var lockedInstructions = 0
        /// Writes to shared lines that the program itself never accesses: the malloc's own records.
        var writesToOwnLines = 0
        /// Writes to shared lines that the program accesses too: blocks, and what lies between them.
        var writesToBlockLines = 0
    }

    private struct Line {
        var thread: Int
        var isShared = false
        var isProgram = false
        var writesInCalls: UInt32 = 0
    }

    private struct ThreadState {
        var isInCall = false
        /// The call is past the warm-up.
        var isCounted = false
        var wasInProgram = false
        /// The address of a return address, some call ago.
        var stack: UInt = 0
        var expectsReturnAddress = false
    }

    private enum InstructionKind { case plain, locked, call }

    private let code: CodeMap
    /// So many allocations, and so many frees, warm the malloc up, and are not counted.
    private let warmUp: Int
    private var counts = Counts()
    private var allocationsSeen = 0
    private var freesSeen = 0
    private var lines: [UInt: Line] = [:]
    /// Every thread that ever ran.
    private var threads = [ThreadState()]
    private var thread = 0
    /// Valgrind gives the number of a thread that ended to a later one.
    private var threadsByNumber: [Int: Int] = [1: 0]
    private var kinds: [UInt: InstructionKind] = [:]
    private var unfinished: [UInt8] = []
    /// What the program printed.
    private(set) var otherOutput = ""

    /// How far from a return address on the stack there is still stack, or the thread's own variables above it.
    private static let stackBelow: UInt = 32 << 10
    private static let stackAbove: UInt = 16 << 10

    init(code: CodeMap, warmUp: Int) {
        self.code = code
        self.warmUp = warmUp
    }

    /// Takes the next part of the trace.
    mutating func consume(_ part: UnsafeRawBufferPointer) {
        var rest = part
        if !unfinished.isEmpty {
            guard let end = part.firstIndex(of: UInt8(ascii: "\n")) else {
                return unfinished.append(contentsOf: part)
            }
            unfinished.append(contentsOf: part[..<end])
            let line = unfinished
            unfinished = []
            line.withUnsafeBytes { consumeLine($0) }
            rest = UnsafeRawBufferPointer(rebasing: part[(end + 1)...])
        }
        var start = 0
        for index in rest.indices where rest[index] == UInt8(ascii: "\n") {
            consumeLine(UnsafeRawBufferPointer(rebasing: rest[start..<index]))
            start = index + 1
        }
        unfinished.append(contentsOf: rest[start...])
    }

    /// The figures, when all is consumed.
    func finished() -> Counts {
        var result = counts
        for line in lines.values where line.isShared {
            if line.isProgram {
                result.writesToBlockLines += Int(line.writesInCalls)
            } else {
                result.writesToOwnLines += Int(line.writesInCalls)
            }
        }
        return result
    }

    // MARK: - Lines

    private mutating func consumeLine(_ text: UnsafeRawBufferPointer) {
        guard text.count > 4 else { return }
        switch (text[0], text[1], text[2]) {
        case (UInt8(ascii: "I"), UInt8(ascii: " "), UInt8(ascii: " ")):
            instruction(at: Self.address(in: text))
        case (UInt8(ascii: " "), UInt8(ascii: "L"), UInt8(ascii: " ")):
            access(Self.address(in: text), isWrite: false)
        case (UInt8(ascii: " "), UInt8(ascii: "S"), UInt8(ascii: " ")),
            (UInt8(ascii: " "), UInt8(ascii: "M"), UInt8(ascii: " ")):
            access(Self.address(in: text), isWrite: true)
        default:
            otherLine(String(decoding: text, as: UTF8.self))
        }
    }

    /// The hexadecimal number from the fourth character on.
    private static func address(in text: UnsafeRawBufferPointer) -> UInt {
        var value: UInt = 0
        for index in 3..<text.count {
            let character = text[index]
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt(character - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt(character - UInt8(ascii: "a") + 10)
            default: return value
            }
        }
        return value
    }

    private mutating func otherLine(_ text: String) {
        if let start = text.range(of: "SCHED["), text.contains("acquired lock") {
            let number = Int(text[start.upperBound...].prefix { $0 != "]" }) ?? 1
            if text.contains("starting new thread") || threadsByNumber[number] == nil {
                threadsByNumber[number] = threads.count
                threads.append(ThreadState())
            }
            thread = threadsByNumber[number] ?? 0
        } else if !text.hasPrefix("==") && !text.hasPrefix("--") && !text.hasPrefix("###") {
            otherOutput += text + "\n"
        }
    }

    // MARK: - Events

    private mutating func instruction(at address: UInt) {
        if code.program.contains(address) {
            threads[thread].isInCall = false
            threads[thread].wasInProgram = true
            threads[thread].expectsReturnAddress = kind(of: address) == .call
            return
        }
        if threads[thread].wasInProgram {
            threads[thread].wasInProgram = false
            if let entry = code.entries[address] {
                threads[thread].isInCall = true
                beginCall(entry)
            }
        }
        guard threads[thread].isInCall, threads[thread].isCounted else { return }
        counts.instructions += 1
        if kind(of: address) == .locked { counts.lockedInstructions += 1 }
    }

    private mutating func beginCall(_ entry: CodeMap.Entry) {
        switch entry {
        case .allocation:
            allocationsSeen += 1
            threads[thread].isCounted = allocationsSeen > warmUp
            if allocationsSeen > warmUp { counts.allocations += 1 }
        case .free:
            freesSeen += 1
            threads[thread].isCounted = freesSeen > warmUp
            if freesSeen > warmUp { counts.frees += 1 }
        }
    }

    private mutating func kind(of address: UInt) -> InstructionKind {
        if let known = kinds[address] { return known }
        let kind: InstructionKind = code.isLocked(at: address) ? .locked : code.isCall(at: address) ? .call : .plain
        kinds[address] = kind
        return kind
    }

    private mutating func access(_ address: UInt, isWrite: Bool) {
        let state = threads[thread]
        if state.expectsReturnAddress, isWrite {
            threads[thread].stack = address
            threads[thread].expectsReturnAddress = false
        }
        if address &+ Self.stackBelow > state.stack, address < state.stack &+ Self.stackAbove { return }
        let counted = isWrite && state.isInCall && state.isCounted
        let id = thread
        let isProgram = state.wasInProgram
        func note(_ line: inout Line) {
            if line.thread != id { line.isShared = true }
            if isProgram { line.isProgram = true }
            if counted { line.writesInCalls += 1 }
        }
        note(&lines[address >> 6, default: Line(thread: id)])
    }
}
