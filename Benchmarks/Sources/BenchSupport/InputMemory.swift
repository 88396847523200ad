// The memory that the workloads work on, touched beforehand.

import CBenchSupport

package final class InputMemory {
    package static let blockCapacity = 1_000_000

    private let blocks = UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>.allocate(capacity: blockCapacity)
    private var order = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: blockCapacity)
    private var sizes = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 1)

    package init() {
        blocks.initialize(repeating: nil)
        order.initialize(repeating: 0)
        sizes.initialize(repeating: 0)
    }

    deinit {
        blocks.deallocate()
        order.deallocate()
        sizes.deallocate()
    }

    package func input(for workload: Workload) -> Input {
        var generator = SplitMix64(state: 0x6D61_6C6C_6F77)
        switch workload.order {
        case .none: break
        case .permutation:
            for index in order.indices { order[index] = UInt32(index) }
            order.shuffle(using: &generator)
        case .slots:
            let slots = 0..<UInt32(workload.blockCount)
            for index in order.indices { order[index] = UInt32.random(in: slots, using: &generator) }
        }
        sizes.deallocate()
        sizes = .allocate(capacity: workload.sizes.count)
        _ = sizes.initialize(fromContentsOf: workload.sizes)
        return Input(
            count: workload.count, sizes: sizes.baseAddress, size_count: workload.sizes.count, order: order.baseAddress,
            blocks: blocks.baseAddress, block_count: workload.blockCount, space: UInt64(workload.space))
    }
}

/// The same numbers in every run of a program.
package struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
