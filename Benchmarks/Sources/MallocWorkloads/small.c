// One thread and blocks of one small size: filled and drained, a window over them, and malloc-then-free.

#include "blocks.h"

// A block of 8 bytes that holds the address of the next one: the blocks are their own list, so that all the memory of
// these workloads is the malloc's. With --check a lost or doubled block shows as a wrong count (or a crash).
struct link {
    struct link *next;
};

static uint64_t fill_and_drain(uint64_t count) {
    struct link *first = NULL, **last = &first;
    for (uint64_t i = 0; i < count; i++) {
        struct link *block = malloc(sizeof *block);
        if (block == NULL)
            fail("malloc failed", NULL, sizeof *block);
        escape(block);
        *last = block;
        last = &block->next;
    }
    *last = NULL;
    uint64_t freed = 0;
    for (struct link *block = first; block != NULL; freed++) {
        struct link *next = block->next;
        free(block);
        block = next;
    }
    if (freed != count)
        fail("blocks were lost or doubled", first, freed);
    return count;
}

static uint64_t small_fill_drain(uint64_t operations) {
    const uint64_t round = operations < 1000000 ? operations : 1000000;
    uint64_t done = 0;
    timed_part_begin();
    while (done < operations)
        done += fill_and_drain(round);
    timed_part_end();
    return done;
}

static uint64_t small_build_3gb(uint64_t operations) {
    timed_part_begin();
    fill_and_drain(operations);
    timed_part_end();
    return operations;
}

enum { window_count = 500 };

static uint64_t small_500(uint64_t operations) {
    void **window = table_make(window_count, sizeof *window);
    uint64_t done = 0;
    timed_part_begin();
    while (done < operations) {
        for (int i = 0; i < window_count; i++)
            window[i] = block_make(8);
        for (int i = 0; i < window_count; i++)
            block_drop(window[i], 8);
        done += window_count;
    }
    timed_part_end();
    return done;
}

static uint64_t small_window_500(uint64_t operations) {
    void **window = table_make(window_count, sizeof *window);
    timed_part_begin();
    for (int i = 0; i < window_count; i++)
        window[i] = block_make(8);
    int oldest = 0;
    for (uint64_t i = 0; i < operations; i++) {
        block_drop(window[oldest], 8);
        window[oldest] = block_make(8);
        oldest = oldest + 1 == window_count ? 0 : oldest + 1;
    }
    for (int i = 0; i < window_count; i++)
        block_drop(window[i], 8);
    timed_part_end();
    return operations;
}

__attribute__((always_inline)) static inline uint64_t pairs(uint64_t operations, size_t size) {
    timed_part_begin();
    for (uint64_t i = 0; i < operations; i++)
        block_drop(block_make(size), size);
    timed_part_end();
    return operations;
}

static uint64_t pair_8(uint64_t operations) {
    return pairs(operations, 8);
}

static uint64_t pair_64(uint64_t operations) {
    return pairs(operations, 64);
}

static uint64_t pair_512(uint64_t operations) {
    return pairs(operations, 512);
}

const struct workload small_workloads[] = {
    {"small-fill-drain", "a million blocks of 8 bytes allocated, then freed in order; over and over", 30000000, false,
     small_fill_drain},
    {"small-500", "500 blocks of 8 bytes allocated, then freed; over and over", 40000000, false, small_500},
    {"small-window-500", "a window of the last 500 blocks of 8 bytes (100 million: --scale 2)", 50000000, false,
     small_window_500},
    {"small-build-3gb", "100 million blocks of 8 bytes built up (3.2 GB in glibc), then freed", 100000000, true,
     small_build_3gb},
    {"pair-8", "malloc then free at once, 8 bytes", 60000000, false, pair_8},
    {"pair-64", "malloc then free at once, 64 bytes", 60000000, false, pair_64},
    {"pair-512", "malloc then free at once, 512 bytes", 60000000, false, pair_512},
    {0},
};
