// Mallow's strategies and buddies, and their rivals, as contestants.

import BenchSupport
import CBenchSupport
import Mallow
import RangeRivals

/// What is kept from run to run is made in the first.
private func keeping<Kept>(_ make: @escaping (Input) -> Kept, _ run: @escaping (Kept, Input) -> UInt64) -> Run {
    var kept: Kept?
    return { input in
        if kept == nil { kept = make(input) }
        return run(kept.unsafelyUnwrapped, input)
    }
}

/// A source in one of the workloads that all sources can run.
private func contestant<Ranges: RangeSource & SendableMetatype>(
    _ name: String, of _: Ranges.Type, _ workload: range_workload
) -> Contestant {
    Contestant(name: name, isMallow: true) {
        switch workload {
        case RANGE_ONE: keeping({ Ranges(space: Int($0.space)) }, one)
        case RANGE_FILL: keeping({ Ranges(space: Int($0.space)) }, fill)
        default: keeping(FilledSpace<Ranges>.init) { $0.replace($1, $1.count) }
        }
    }
}

/// A strategy in any of the workloads.
private func contestant<Ranges: RangeIndex & SendableMetatype>(
    _ name: String, _: Ranges.Type, _ workload: range_workload
) -> Contestant {
    switch workload {
    case RANGE_FIND:
        Contestant(name: name, isMallow: true) { keeping(FilledSpace<Ranges>.init) { $0.find($1) } }
    case RANGE_FREE_SIZE:
        Contestant(name: name, isMallow: true) { keeping(FilledSpace<Ranges>.init) { $0.freeSize($1) } }
    default:
        contestant(name, of: Ranges.self, workload).telling(
            workload == RANGE_RANDOM ? { FilledSpace<Ranges>($0).extras($0) } : nil)
    }
}

extension Contestant {
    fileprivate func telling(_ extras: ((Input) throws -> [Double])?) -> Contestant {
        var contestant = self
        contestant.extras = extras
        return contestant
    }
}

/// All that run a workload over ranges.
func rangeContestants(_ workload: range_workload) -> [Contestant] {
    rivals(workload, hasExtras: workload == RANGE_RANDOM) + [
        contestant("SegregatedFit", RangeAllocator<SegregatedFit>.self, workload),
        contestant("TwoTrees", RangeAllocator<TwoTrees>.self, workload),
        contestant("SingleTreap", RangeAllocator<SingleTreap>.self, workload),
        contestant("FirstFit", RangeAllocator<FirstFit>.self, workload),
    ]
}

/// All that run a workload over blocks of a power of two.
func buddyContestants(_ workload: range_workload) -> [Contestant] {
    rivals(workload, hasExtras: false) + [
        contestant("BuddyAllocator", of: Buddies.self, workload),
        contestant("BuddyPool", of: PooledBuddies.self, workload),
        contestant("SegregatedFit", of: RangeAllocator<SegregatedFit>.self, workload),
    ]
}

private func rivals(_ workload: range_workload, hasExtras: Bool) -> [Contestant] {
    (0..<range_rival_count(workload)).map { index in
        Contestant(range_rival_entry(workload, index), hasBytes: false, hasExtras: hasExtras)
    }
}
