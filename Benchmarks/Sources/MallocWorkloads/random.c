// Random sizes and lifetimes: a table of slots; each step frees the block of a random slot and puts a new one of a
// random size there. Sizes are log-uniform (every doubling is as likely), lifetimes geometric. The sequence of slots
// and sizes comes from a seed, so that each malloc gets the same.

#include "blocks.h"

struct slot {
    void *pointer;
    size_t size;
};

static struct size_table sizes;

// `sizes` is filled.
static uint64_t replace_random(uint64_t operations, uint32_t slot_count) {
    uint64_t state = 0x243f6a8885a308d3;
    struct slot *slots = table_make(slot_count, sizeof *slots);

    timed_part_begin();
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t random = random_next(&state);
        struct slot *slot = &slots[((random >> 32) * slot_count) >> 32];
        if (slot->pointer != NULL)
            block_drop(slot->pointer, slot->size);
        slot->size = size_table_draw(&sizes, random);
        slot->pointer = block_make(slot->size);
    }
    for (uint32_t i = 0; i < slot_count; i++) {
        if (slots[i].pointer != NULL)
            block_drop(slots[i].pointer, slots[i].size);
    }
    timed_part_end();
    return operations;
}

static uint64_t random_lifetimes(uint64_t operations, uint32_t slot_count, uint32_t smallest, uint32_t largest) {
    size_table_fill(&sizes, smallest, largest);
    return replace_random(operations, slot_count);
}

enum { KiB = 1024, MiB = 1024 * 1024 };

static uint64_t random_small(uint64_t operations) {
    return random_lifetimes(operations, 50000, 8, 256);
}

static uint64_t random_medium(uint64_t operations) {
    return random_lifetimes(operations, 10000, 8, 8 * KiB);
}

static uint64_t random_large(uint64_t operations) {
    return random_lifetimes(operations, 200, 32 * KiB, 1 * MiB);
}

static uint64_t random_huge(uint64_t operations) {
    return random_lifetimes(operations, 30, 1 * MiB, 16 * MiB);
}

// Each size in between is as likely: few pairs of them are alike, and none is a multiple of much.
static uint64_t random_5_25(uint64_t operations) {
    for (uint32_t i = 0; i < size_table_count; i++)
        sizes.sizes[i] = (uint32_t)(5 * MiB + (uint64_t)i * 20 * MiB / (size_table_count - 1));
    return replace_random(operations, 20);
}

const struct workload random_workloads[] = {
    {"random-small", "50,000 blocks of 8-256 bytes, each step replaces a random one", 20000000, false, random_small},
    {"random-medium", "10,000 blocks of 8 bytes to 8 KiB, each step replaces a random one", 8000000, false,
     random_medium},
    {"random-large", "200 blocks of 32 KiB to 1 MiB, each step replaces a random one", 200000, false, random_large},
    {"random-huge", "30 blocks of 1-16 MiB, each step replaces a random one", 2000, false, random_huge},
    {"random-5-25", "20 blocks of 5-25 MiB, each step replaces a random one", 1000, false, random_5_25},
    {0},
};
