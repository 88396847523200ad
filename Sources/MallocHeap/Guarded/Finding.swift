// A memory error that a guarded block has brought to light: what, where, and with which block.

/// One error.
public struct Finding {
    public enum Kind: UInt8 {
        // Told by a fault.
        case useAfterFree
        case overflow
        case underflow
        /// Into a part of the pool that was never a block's.
        case wild
        // Told when a block was freed, resized or asked for its size.
        case doubleFree
        case invalidFree
        case wrongSize
        case writtenBehind
        case writtenBefore
    }

    public enum Access: UInt8 {
        case unknown
        case read
        case write
        case execute
    }

    var kind: Kind
    var access = Access.unknown
    var address: UInt
    /// How many bytes were read or written; 0 where that is not known.
    var byteCount: UInt
    var slot: Slot?
    /// The function that was called, for what is told by one.
    var caller: StaticString

    init(_ kind: Kind, _ address: UInt, _ slot: Slot?, caller: StaticString, byteCount: UInt = 0) {
        self.kind = kind
        self.address = address
        self.slot = slot
        self.caller = caller
        self.byteCount = byteCount
    }

    /// What a fault at an address of the pool means; nil for other addresses.
    ///
    /// Between two blocks it is the nearer one's error, of live ones if there are any.
    init?(faultAt address: UInt, access: Access, byteCount: UInt) {
        guard GuardedPool.contains(address) else { return nil }
        let tier = GuardedPool.tier(at: address)
        let index = tier.index(at: address)
        var best: Slot?
        var bestDistance = UInt.max
        var next = index > 0 ? index &- 1 : 0
        let end = min(index &+ 2, tier.pointee.slotCount)
        while next < end {
            let slot = tier.slot(next)
            next &+= 1
            if slot.pointee.state == .unused { continue }
            let distance = slot.distance(to: address)
            let isPreferred = slot.pointee.state == .live && best.map { $0.pointee.state != .live } ?? false
            let isBetter = slot.pointee.state == .live || best.map { $0.pointee.state != .live } ?? true
            // Where the address lies inside a block there is nothing to choose.
            if distance == 0 || bestDistance != 0 && (isPreferred || isBetter && distance < bestDistance) {
                best = slot
                bestDistance = distance
            }
        }
        self.init(.wild, address, best, caller: "", byteCount: byteCount)
        self.access = access
        guard let best else { return }
        if best.pointee.state == .freed {
            kind = .useAfterFree
        } else if address < best.pointee.block {
            kind = .underflow
        } else {
            kind = .overflow
        }
    }
}

extension UnsafeMutablePointer where Pointee == SlotRecord {
    /// How far an address is from the block; 0 inside.
    func distance(to address: UInt) -> UInt {
        if address < pointee.block { return pointee.block &- address }
        let end = pointee.block &+ pointee.byteCount
        return address < end ? 0 : address &- end &+ 1
    }
}
