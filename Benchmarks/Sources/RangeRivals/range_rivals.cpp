// Which rival runs which workload, and the functions of range_rivals.h.

#include "boost_trees.hpp"
#include "std_maps.hpp"
#include "vma.hpp"
#include "workloads.hpp"

#include <vector>

namespace {

using namespace bench;

/// The same workload over each kind of space that finds a place without taking it.
template <template <class> class Rival> void add_trees(std::vector<bench_entry> &found) {
    found.push_back(rival<Rival<StdMaps<false>>>("std::map pair"));
    found.push_back(rival<Rival<StdMaps<true>>>("std::map, nodes kept"));
#ifdef BENCH_HAS_BOOST
    found.push_back(rival<Rival<BoostTrees>>("Boost.Intrusive"));
#endif
}

template <template <class> class Rival> void add_all(std::vector<bench_entry> &found) {
    add_trees<Rival>(found);
#ifdef BENCH_HAS_VMA
    found.push_back(rival<Rival<VirtualBlock>>("VMA"));
#endif
}

std::vector<bench_entry> rivals(range_workload workload) {
    std::vector<bench_entry> found;
    switch (workload) {
    case RANGE_ONE:
        add_all<One>(found);
        break;
    case RANGE_FILL:
        add_all<Fill>(found);
        break;
    case RANGE_RANDOM:
        add_all<Random>(found);
        break;
    case RANGE_FIND:
        add_trees<Find>(found);
        break;
    case RANGE_FREE_SIZE:
        // The largest free range of a virtual block is known after a walk over all ranges.
        add_trees<FreeSize>(found);
        break;
    }
    return found;
}

}  // namespace

size_t range_rival_count(range_workload workload) { return rivals(workload).size(); }

bench_entry range_rival_entry(range_workload workload, size_t index) { return rivals(workload)[index]; }

const char *range_boost_version() {
#ifdef BENCH_HAS_BOOST
    return BOOST_LIB_VERSION;
#else
    return nullptr;
#endif
}

bool range_has_vma() {
#ifdef BENCH_HAS_VMA
    return true;
#else
    return false;
#endif
}
