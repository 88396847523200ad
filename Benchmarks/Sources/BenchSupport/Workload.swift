// A workload, who takes part in it, and what they get to work on.

package import CBenchSupport

package typealias Input = bench_input

/// Runs a workload once; the nanoseconds that its loop took.
package typealias Run = (Input) throws -> UInt64

/// One that runs a workload: an allocator of Mallow's in one form, or a rival.
package struct Contestant {
    package let name: String
    package let isMallow: Bool
    /// Whether a column of the table holds the others' ratio to it: rivals as they are by themselves.
    package let hasColumn: Bool
    /// Makes the allocator, which is kept from run to run.
    package let prepare: () throws -> Run
    /// The bytes of the memory that `Workload.bytesTitle` tells of, all blocks together.
    package var bytesWhenFull: Run?
    /// The figures that `Workload.extraTitles` names.
    package var extras: ((Input) throws -> [Double])?

    package init(
        name: String, isMallow: Bool, hasColumn: Bool? = nil, bytesWhenFull: Run? = nil,
        extras: ((Input) throws -> [Double])? = nil, prepare: @escaping () throws -> Run
    ) {
        self.name = name
        self.isMallow = isMallow
        self.hasColumn = hasColumn ?? !isMallow
        self.bytesWhenFull = bytesWhenFull
        self.extras = extras
        self.prepare = prepare
    }
}

/// What is random in a workload.
package enum RandomOrder: Sendable {
    case none
    /// Every index below a million once.
    case permutation
    /// A million times an index below `blockCount`.
    case slots
}

package struct Workload: Sendable {
    package let name: String
    package let title: String
    /// Steps of one run.
    package let count: Int
    /// Blocks that are allocated and freed in a step, or what else a step does so many times: times are per block.
    package let blocksPerStep: Int
    /// Blocks that live at once, or the nodes of a tree.
    package let blockCount: Int
    package let order: RandomOrder
    /// Runs of a round, of which the fastest counts.
    package let runsPerRound: Int
    /// Where a round takes so long that fewer are enough.
    package let mostRounds: Int
    /// What the requests ask for, over and over.
    package let sizes: [UInt32]
    /// The column of `Contestant.bytesWhenFull`, and the number of blocks that its bytes are divided by.
    package let bytesTitle: String
    package let bytesBlockCount: Int
    /// Further columns, of what is not a time: at most `BENCH_EXTRA_COUNT`.
    package let extraTitles: [String]
    /// How much there is to share out, where that matters.
    package let space: Int
    package let contestants: @Sendable () -> [Contestant]

    package init(
        name: String, title: String, count: Int, blocksPerStep: Int = 1, blockCount: Int = 0,
        order: RandomOrder? = nil, runsPerRound: Int = 5, sizes: [UInt32] = [4], bytesTitle: String = "bytes/block",
        bytesBlockCount: Int? = nil, extraTitles: [String] = [], space: Int = 0,
        mostRounds: Int = .max,
        contestants: @escaping @Sendable () -> [Contestant]
    ) {
        self.name = name
        self.title = title
        self.count = count
        self.blocksPerStep = blocksPerStep
        self.blockCount = blockCount
        self.order = order ?? (blockCount > 0 ? .slots : .none)
        self.runsPerRound = runsPerRound
        self.mostRounds = mostRounds
        self.sizes = sizes
        self.bytesTitle = bytesTitle
        self.bytesBlockCount = bytesBlockCount ?? count
        self.extraTitles = extraTitles
        self.space = space
        self.contestants = contestants
    }
}
