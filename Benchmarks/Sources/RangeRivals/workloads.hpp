// The workloads, as templates over a space of the rivals'. RangeLoops.swift of RangeBench holds the same loops over
// Mallow's range allocators.
#pragma once

#include "range_rivals.h"
#include "rival.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>

namespace bench {

inline void sink(uint64_t held) { bench_sink(reinterpret_cast<const void *>(held)); }

/// Sizes and slots one after the other, from where the last run ended.
class Requests {
    const bench_input &input;
    size_t &next_size;
    size_t &next_slot;
    static constexpr size_t slot_count = 1000000;

public:
    Requests(const bench_input &input, size_t &next_size, size_t &next_slot)
        : input(input), next_size(next_size), next_slot(next_slot) {}
    uint64_t size() {
        const uint64_t size = input.sizes[next_size];
        next_size = next_size + 1 == input.size_count ? 0 : next_size + 1;
        return size;
    }
    size_t slot() {
        const size_t slot = input.order[next_slot];
        next_slot = next_slot + 1 == slot_count ? 0 : next_slot + 1;
        return slot;
    }
};

template <class Space> struct One final : bench_rival {
    std::optional<Space> space;
    uint64_t run(const bench_input &input) override {
        if (!space) space.emplace(input.space);
        size_t next_size = 0, next_slot = 0;
        Requests requests(input, next_size, next_slot);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            const uint64_t held = space->allocate(requests.size());
            sink(held);
            space->release(held);
        }
        return bench_now() - start;
    }
};

template <class Space> struct Fill final : bench_rival {
    std::optional<Space> space;
    uint64_t run(const bench_input &input) override {
        if (!space) space.emplace(input.space);
        uint64_t *live = reinterpret_cast<uint64_t *>(input.blocks);
        size_t next_size = 0, next_slot = 0;
        Requests requests(input, next_size, next_slot);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            for (size_t index = 0; index < input.block_count; index++) {
                live[index] = space->allocate(requests.size());
                sink(live[index]);
            }
            for (size_t index = 0; index < input.block_count; index++) space->release(live[index]);
        }
        return bench_now() - start;
    }
};

/// A space with `block_count` live ranges (0 where the answer was "none"), which a run leaves for the next.
template <class Space> struct Filled : bench_rival {
    std::optional<Space> space;
    size_t next_size = 0, next_slot = 0;
    uint64_t nones = 0, false_nones = 0;

    /// `checks`: an answer of "none" is compared with the largest free range.
    template <bool checks> uint64_t allocate(uint64_t size) {
        const uint64_t held = space->allocate(size);
        if (held == 0) {
            nones++;
            if (checks && space->largest_free() >= size) false_nones++;
        }
        return held;
    }

    template <bool checks> uint64_t replace(const bench_input &input, size_t count) {
        uint64_t *live = reinterpret_cast<uint64_t *>(input.blocks);
        Requests requests(input, next_size, next_slot);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < count; step++) {
            const size_t slot = requests.slot();
            if (live[slot] != 0) space->release(live[slot]);
            live[slot] = allocate<checks>(requests.size());
            sink(live[slot]);
        }
        return bench_now() - start;
    }

    template <bool checks> void fill(const bench_input &input) {
        space.emplace(input.space);
        uint64_t *live = reinterpret_cast<uint64_t *>(input.blocks);
        Requests requests(input, next_size, next_slot);
        for (size_t index = 0; index < input.block_count; index++) live[index] = allocate<checks>(requests.size());
        replace<checks>(input, RANGE_RUNS_BEFORE * input.count);
    }
};

template <class Space> struct Random final : Filled<Space> {
    uint64_t run(const bench_input &input) override {
        if (!this->space) this->template fill<false>(input);
        return this->template replace<false>(input, input.count);
    }

    /// Answers of "none", those that were false, bytes for a free range, and for any range.
    void extras(const bench_input &input, double *extras) override {
        const uint64_t before = bench_malloc_bytes();
        this->template fill<true>(input);
        const double bytes = double(bench_malloc_bytes() - before);
        size_t live = 0;
        for (size_t index = 0; index < input.block_count; index++) live += input.blocks[index] != nullptr;
        extras[0] = double(this->nones);
        extras[1] = double(this->false_nones);
        extras[2] = bytes / double(this->space->free_ranges());
        extras[3] = bytes / double(this->space->free_ranges() + live);
    }
};

template <class Space> struct Find final : Filled<Space> {
    uint64_t run(const bench_input &input) override {
        if (!this->space) this->template fill<false>(input);
        Requests requests(input, this->next_size, this->next_slot);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) sink(this->space->find(requests.size()));
        return bench_now() - start;
    }
};

template <class Space> struct FreeSize final : Filled<Space> {
    uint64_t run(const bench_input &input) override {
        if (!this->space) this->template fill<false>(input);
        const Space *space = &*this->space;
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            bench_sink(space);
            sink(space->free_count() + space->largest_free());
        }
        return bench_now() - start;
    }
};

}  // namespace bench
