// Which rival runs which workload, and the functions of rivals.h.

#include "memories.hpp"
#include "workloads.hpp"

#include "boost_pool.hpp"

#include <vector>

namespace {

using namespace bench;
using Pool = std::pmr::unsynchronized_pool_resource;
using SynchronizedPool = std::pmr::synchronized_pool_resource;

std::vector<bench_entry> rivals(bench_workload workload) {
    std::vector<bench_entry> found;
    auto add = [&found](bench_entry entry) { found.push_back(entry); };
    switch (workload) {
    case BENCH_TEMPORARY:
        add(rival<Temporary<Malloc>>("glibc"));
        add(rival<Temporary<Pmr<Pool, 16>>>("std::pmr"));
        add(rival<Temporary<Pmr<SynchronizedPool, 16>>>("std::pmr synchronized"));
#ifdef BENCH_HAS_BOOST
        add(rival<Temporary<BoostPool<64, 1024>>>("Boost.Pool"));
#endif
        break;
    case BENCH_GROW_SHRINK:
        add(rival<GrowShrink<Malloc, 8>>("glibc"));
        add(rival<GrowShrink<Pmr<Pool, 8>, 8>>("std::pmr"));
        add(rival<GrowShrink<NewPmr<Pool, 8>, 8>>("std::pmr, new"));
#ifdef BENCH_HAS_BOOST
        add(rival<GrowShrink<BoostPool<8, 131072>, 8>>("Boost.Pool"));
        add(rival<GrowShrink<NewBoostPool<8, 131072>, 8>>("Boost.Pool, new"));
#endif
        break;
    case BENCH_LADDER:
        add(rival<Ladder<Malloc>>("glibc"));
        add(rival<Ladder<Pmr<Pool, 4>>>("std::pmr"));
        break;
    case BENCH_LADDER_GROW:
        add(rival<LadderGrow<Malloc>>("glibc"));
        add(rival<LadderGrow<Pmr<Pool, 4>>>("std::pmr"));
        add(rival<LadderGrow<NewPmr<Pool, 4>>>("std::pmr, new"));
        break;
    case BENCH_ARENA_REUSED:
        add(rival<TwoBlocks<Malloc>>("glibc"));
        add(rival<TwoBlocksArenaReused<Monotonic<8>>>("monotonic"));
        add(rival<TwoBlocksArenaReused<MonotonicInBuffer<8, 256>>>("monotonic in buffer"));
        break;
    case BENCH_ARENA_NEW:
        add(rival<TwoBlocks<Malloc>>("glibc"));
        add(rival<TwoBlocksArenaNew<Monotonic<8>>>("monotonic"));
        add(rival<TwoBlocksArenaNew<MonotonicOnStack<8, 256>>>("monotonic in buffer"));
        break;
    case BENCH_RANDOM_ORDER:
        add(rival<RandomOrder<Malloc>>("glibc"));
        add(rival<RandomOrder<Pmr<Pool, 16>>>("std::pmr"));
        add(rival<RandomOrder<NewPmr<Pool, 16>>>("std::pmr, new"));
#ifdef BENCH_HAS_BOOST
        add(rival<RandomOrder<BoostPool<64, 1024>>>("Boost.Pool"));
        add(rival<RandomOrder<NewBoostPool<64, 1024>>>("Boost.Pool, new"));
#endif
        break;
    case BENCH_RANDOM_REPLACE:
        add(rival<RandomReplace<Malloc>>("glibc"));
        add(rival<RandomReplace<Pmr<Pool, 16>>>("std::pmr"));
        add(rival<RandomReplace<Pmr<SynchronizedPool, 16>>>("std::pmr synchronized"));
#ifdef BENCH_HAS_BOOST
        add(rival<RandomReplace<BoostPool<64, 1024>>>("Boost.Pool"));
#endif
        break;
    case BENCH_TREE:
        add(rival<Tree<Malloc>>("glibc"));
        add(rival<TreeInArena<Monotonic<8>>>("monotonic"));
        add(rival<TreeInArena<MonotonicInBuffer<8, 1 << 20>>>("monotonic in buffer"));
        break;
    }
    return found;
}

}  // namespace

size_t bench_rival_count(bench_workload workload) { return rivals(workload).size(); }

bench_entry bench_rival_entry(bench_workload workload, size_t index) { return rivals(workload)[index]; }

const char *bench_boost_version() {
#ifdef BENCH_HAS_BOOST
    return BOOST_LIB_VERSION;
#else
    return nullptr;
#endif
}
