// Mallow's strategies and their rivals as contestants.

import BenchSupport
import CBenchSupport
import Mallow
import RangeRivals

/// A workload's loop, over any strategy.
protocol RangeLoop {
    /// Makes what is kept from run to run, and the run.
    static func prepare<S: RangeStrategy & ~Copyable>(_: S.Type) -> Run
    /// The extras of RANGE_RANDOM.
    static func extras<S: RangeStrategy & ~Copyable>(_: S.Type, _ input: Input) -> [Double]?
}

extension RangeLoop {
    static func extras<S: RangeStrategy & ~Copyable>(_: S.Type, _ input: Input) -> [Double]? { nil }
}
