// The workloads, as templates over the blocks of references.hpp. Loops.swift of SlabBench holds the same loops over
// Mallow's arenas, and NIOLoops.swift over SwiftNIO's buffers. Every block that is allocated is written once.
#pragma once

#include "references.hpp"

namespace bench {

template <class Memory> void use(const typename Memory::Handle &handle, size_t value) {
    *Memory::data(handle) = static_cast<char>(value);
    bench_sink(Memory::address(handle));
}

template <class Memory> using Handles = std::vector<typename Memory::Handle>;

/// `block_count` live blocks.
template <class Memory> Handles<Memory> make_live(const bench_input &input) {
    Handles<Memory> live;
    live.reserve(input.block_count);
    for (size_t index = 0; index < input.block_count; index++) {
        live.push_back(Memory::allocate(SLAB_BLOCK_SIZE));
        use<Memory>(live[index], index);
    }
    return live;
}

template <class Memory> void release_all(Handles<Memory> &live) {
    for (auto &handle : live) Memory::release(handle);
}

/// What live blocks take of malloc beyond their data.
template <class Memory> uint64_t metadata_bytes(const bench_input &input) {
    Handles<Memory> live;
    live.reserve(input.block_count);
    const uint64_t before = bench_malloc_bytes();
    for (size_t index = 0; index < input.block_count; index++) {
        live.push_back(Memory::allocate(SLAB_BLOCK_SIZE));
        use<Memory>(live[index], index);
    }
    const uint64_t full = bench_malloc_bytes();
    release_all<Memory>(live);
    return full - before - input.block_count * SLAB_BLOCK_SIZE;
}

template <class Memory> struct Reference final : bench_rival {
    uint64_t run(const bench_input &input) override {
        typename Memory::Handle handle = Memory::allocate(SLAB_BLOCK_SIZE);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            typename Memory::Handle copy = Memory::add(handle);
            bench_sink(Memory::address(copy));
            Memory::release(copy);
        }
        const uint64_t elapsed = bench_now() - start;
        Memory::release(handle);
        return elapsed;
    }
};

template <class Memory> struct ReferenceRandom final : bench_rival {
    uint64_t run(const bench_input &input) override {
        Handles<Memory> live = make_live<Memory>(input);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            typename Memory::Handle copy = Memory::add(live[input.order[step]]);
            bench_sink(Memory::address(copy));
            Memory::release(copy);
        }
        const uint64_t elapsed = bench_now() - start;
        release_all<Memory>(live);
        return elapsed;
    }
    uint64_t bytes_when_full(const bench_input &input) override { return metadata_bytes<Memory>(input); }
};

template <class Memory> struct Allocate final : bench_rival {
    uint64_t run(const bench_input &input) override {
        const size_t size = input.sizes[0];
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            typename Memory::Handle handle = Memory::allocate(size);
            use<Memory>(handle, step);
            Memory::release(handle);
        }
        return bench_now() - start;
    }
};

template <class Memory> struct AllocateLive final : bench_rival {
    uint64_t run(const bench_input &input) override {
        const size_t size = input.sizes[0];
        Handles<Memory> live(input.block_count);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            for (size_t index = 0; index < input.block_count; index++) {
                live[index] = Memory::allocate(size);
                use<Memory>(live[index], index);
            }
            for (size_t index = 0; index < input.block_count; index++) Memory::release(live[index]);
        }
        return bench_now() - start;
    }
};

template <class Memory> struct Sizes final : bench_rival {
    uint64_t run(const bench_input &input) override {
        size_t next = 0;
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            const size_t size = input.sizes[next];
            next = next + 1 == input.size_count ? 0 : next + 1;
            typename Memory::Handle handle = Memory::allocate(size);
            use<Memory>(handle, step);
            Memory::release(handle);
        }
        return bench_now() - start;
    }
};

}  // namespace bench
