// What stands for a block and tells when the block is gone, in the forms that a C++ program has.
#pragma once

#include "workloads.hpp"

namespace bench {

/// A std::weak_ptr: looking the block up adds a reference, which is released.
struct WeakPointers {
    Handles<MakeShared> live;
    std::vector<std::weak_ptr<char[]>> weak;

    explicit WeakPointers(const bench_input &input)
        : live(make_live<MakeShared>(input)), weak(live.begin(), live.end()) {}

    void find(size_t index) {
        if (std::shared_ptr<char[]> found = weak[index].lock()) bench_sink(&found);
    }
    void name(size_t index) {
        std::weak_ptr<char[]> made(live[index]);
        bench_sink(&made);
    }
};

/// A table of blocks with a generation each, the usual way to have handles that can go stale: a handle is a slot's
/// number and the generation that it had. The block's header knows its slot. Nothing is counted.
struct SlotMap {
    struct Slot {
        CountedMalloc::Handle block;
        uint32_t generation;
    };
    struct Handle {
        uint32_t slot;
        uint32_t generation;
    };
    Handles<CountedMalloc> live;
    std::vector<Slot> slots;
    std::vector<Handle> handles;

    explicit SlotMap(const bench_input &input) : live(make_live<CountedMalloc>(input)) {
        for (uint32_t slot = 0; slot < live.size(); slot++) {
            live[slot]->slot = slot;
            slots.push_back({live[slot], slot % 7});
            handles.push_back({slot, slot % 7});
        }
    }
    SlotMap(const SlotMap &) = delete;
    ~SlotMap() { release_all<CountedMalloc>(live); }

    void find(size_t index) {
        const Handle handle = handles[index];
        if (handle.slot >= slots.size() || slots[handle.slot].generation != handle.generation) return;
        bench_sink(CountedMalloc::data(slots[handle.slot].block));
    }
    void name(size_t index) {
        const uint32_t slot = live[index]->slot;
        const Handle made = {slot, slots[slot].generation};
        bench_sink(&made);
    }
};

template <class Table> struct BufferAtLocation final : bench_rival {
    uint64_t run(const bench_input &input) override {
        Table table(input);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) table.find(input.order[step]);
        return bench_now() - start;
    }
};

template <class Table> struct LocationOfBuffer final : bench_rival {
    uint64_t run(const bench_input &input) override {
        Table table(input);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) table.name(input.order[step]);
        return bench_now() - start;
    }
};

}  // namespace bench
