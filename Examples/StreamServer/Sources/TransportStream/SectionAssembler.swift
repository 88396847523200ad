// Tables come as sections, which begin anywhere in a packet's payload and go on in the next packets of the PID:
//
//     pointer ─┐        section                                    next section or stuffing (0xFF)
//     [n][ end of the section before, n bytes ][table id, length:12, …, checksum][…
//
// A section is at most 1,024 bytes long. Its bytes are copied, since it is small and rare, and its parts lie apart.

/// Puts the sections of one PID together.
struct SectionAssembler {
    enum Outcome { case fine, malformed }

    private static let largestSection = 1024
    /// What there is of a section; empty between sections.
    private var section: [UInt8] = []
    /// Whether a section's start was seen, so that its rest means something.
    private var isInSection = false

    /// Takes the payload of the PID's next packet, and hands out each section that it completes. A malformed one is
    /// dropped, with the rest of the payload.
    mutating func take(
        _ payload: borrowing [UInt8], startsUnit: Bool, completed: (borrowing [UInt8]) -> Void
    ) -> Outcome {
        var next = 0
        if startsUnit {
            guard payload.count > 0, Int(payload[0]) < payload.count else { return fail() }
            let start = 1 + Int(payload[0])
            if isInSection {
                let outcome = add(payload, from: 1, to: start, completed)
                // What was in progress and is still not whole, never will be.
                if outcome == .malformed || isInSection { _ = fail() }
            }
            next = start
            isInSection = true
        } else if !isInSection {
            return .fine
        }
        return add(payload, from: next, to: payload.count, completed)
    }

    /// Forgets what is in progress: packets of it are missing.
    mutating func interrupt() { _ = fail() }

    private mutating func add(
        _ payload: borrowing [UInt8], from start: Int, to end: Int, _ completed: (borrowing [UInt8]) -> Void
    ) -> Outcome {
        var next = start
        while next < end {
            // Behind the last section, there is stuffing up to the end.
            if section.isEmpty, payload[next] == 0xFF {
                isInSection = false
                return .fine
            }
            isInSection = true
            section.append(payload[next])
            next += 1
            if section.count == 3 {
                let length = 3 + (Int(section[1] & 0x0F) << 8 | Int(section[2]))
                guard length <= Self.largestSection else { return fail() }
            }
            guard section.count >= 3 else { continue }
            let length = 3 + (Int(section[1] & 0x0F) << 8 | Int(section[2]))
            let more = min(length - section.count, end - next)
            for index in next..<next + more { section.append(payload[index]) }
            next += more
            if section.count == length {
                completed(section)
                section.removeAll(keepingCapacity: true)
                isInSection = false
            }
        }
        return .fine
    }

    private mutating func fail() -> Outcome {
        section.removeAll(keepingCapacity: true)
        isInSection = false
        return .malformed
    }
}
