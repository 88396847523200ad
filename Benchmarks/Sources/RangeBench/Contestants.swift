// Mallow's strategies and their rivals as contestants.

import BenchSupport
import CBenchSupport
import Mallow
import RangeRivals

/// A strategy in one of the workloads that the rivals run too. What it keeps from run to run is made in the first.
private func contestant<S: RangeStrategy & SendableMetatype & ~Copyable>(
    _ name: String, _: S.Type, _ workload: range_workload
) -> Contestant {
    let hasExtras = workload == RANGE_RANDOM
    return Contestant(
        name: name, isMallow: true, extras: hasExtras ? { FilledSpace<S>($0).extras($0) } : nil
    ) {
        switch workload {
        case RANGE_ONE: keeping({ RangeAllocator<S>(size: Int($0.space)) }, one)
        case RANGE_FILL: keeping({ RangeAllocator<S>(size: Int($0.space)) }, fill)
        case RANGE_RANDOM: keeping(FilledSpace<S>.init) { $0.replace($1, $1.count) }
        case RANGE_FIND: keeping(FilledSpace<S>.init) { $0.find($1) }
        default: keeping(FilledSpace<S>.init) { $0.freeSize($1) }
        }
    }
}

/// Makes an object from a run's input in the first run, for all of them.
private func keeping<Kept>(_ make: @escaping (Input) -> Kept, _ run: @escaping (Kept, Input) -> UInt64) -> Run {
    var kept: Kept?
    return { input in
        if kept == nil { kept = make(input) }
        return run(kept.unsafelyUnwrapped, input)
    }
}

/// All that run the workload.
func takingPart(in workload: range_workload) -> [Contestant] {
    (0..<range_rival_count(workload)).map { index in
        Contestant(range_rival_entry(workload, index), hasBytes: false, hasExtras: workload == RANGE_RANDOM)
    } + [
        contestant("SegregatedFit", SegregatedFit.self, workload)
    ]
}
