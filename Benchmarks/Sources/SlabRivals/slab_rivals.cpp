// Which rival runs which workload, and the functions of slab_rivals.h.

#include "chains.hpp"
#include "locations.hpp"
#include "workloads.hpp"

namespace {

using namespace bench;

/// A rival as it is in a process with one thread, where it has a column, and with two.
template <class Rival> void add(std::vector<bench_entry> &found, const char *name, const char *name_with_threads) {
    found.push_back(rival<Rival>(name));
    found.push_back(rival<Threaded<Rival>>(name_with_threads, false));
}

/// The same workload for each kind of counted block.
template <template <class> class Rival> void add_counted(std::vector<bench_entry> &found) {
    add<Rival<CountedMalloc>>(found, "glibc counted", "glibc counted, 2 threads");
    add<Rival<MakeShared>>(found, "make_shared", "make_shared, 2 threads");
    add<Rival<NewArray>>(found, "new char[]", "new char[], 2 threads");
}

template <template <class> class Rival> void add_all(std::vector<bench_entry> &found) {
    add<Rival<Malloc>>(found, "glibc", "glibc, 2 threads");
    add_counted<Rival>(found);
}

std::vector<bench_entry> rivals(slab_workload workload) {
    std::vector<bench_entry> found;
    switch (workload) {
    case SLAB_REFERENCE:
        add_counted<Reference>(found);
        break;
    case SLAB_REFERENCE_RANDOM:
        add_counted<ReferenceRandom>(found);
        break;
    case SLAB_ALLOCATE:
        add_all<Allocate>(found);
        break;
    case SLAB_ALLOCATE_LIVE:
        add_all<AllocateLive>(found);
        break;
    case SLAB_SIZES:
        add_all<Sizes>(found);
        break;
    case SLAB_CHAIN:
        add<Chain<PlainChain>>(found, "glibc", "glibc, 2 threads");
        add<Chain<CountedChain>>(found, "glibc counted", "glibc counted, 2 threads");
        add<Chain<SharedChain>>(found, "make_shared", "make_shared, 2 threads");
        break;
    case SLAB_BUFFER_AT_LOCATION:
        found.push_back(rival<BufferAtLocation<SlotMap>>("slot map"));
        add<BufferAtLocation<WeakPointers>>(found, "weak_ptr", "weak_ptr, 2 threads");
        break;
    case SLAB_LOCATION_OF_BUFFER:
        found.push_back(rival<LocationOfBuffer<SlotMap>>("slot map"));
        add<LocationOfBuffer<WeakPointers>>(found, "weak_ptr", "weak_ptr, 2 threads");
        break;
    }
    return found;
}

}  // namespace

size_t slab_rival_count(slab_workload workload) { return rivals(workload).size(); }

bench_entry slab_rival_entry(slab_workload workload, size_t index) { return rivals(workload)[index]; }
