// The other ways to ask for memory: calloc, and the aligned allocations. Random lifetimes as in random.c.

#include "blocks.h"

struct slot {
    void *pointer;
    size_t size;
};

enum { slot_count = 1000, KiB = 1024, MiB = 1024 * 1024 };

static struct size_table small_sizes, medium_sizes, large_sizes;

static void drop_all(struct slot *slots) {
    for (int i = 0; i < slot_count; i++) {
        if (slots[i].pointer != NULL)
            block_drop(slots[i].pointer, slots[i].size);
    }
}

static void *calloc_block(size_t size) {
    unsigned char *pointer = calloc(1, size);
    if (pointer == NULL)
        fail("calloc failed", NULL, size);
    escape(pointer);
    if (checks_contents)
        block_verify_zero(pointer, size);
    else if (pointer[0] != 0 || pointer[size - 1] != 0)
        fail("calloc gave memory that is not zero", pointer, size);
    block_write(pointer, size);
    return pointer;
}

static uint64_t calloc_mixed(uint64_t operations) {
    uint64_t state = 0xa4093822299f31d0;
    struct slot *slots = table_make(slot_count, sizeof *slots);
    size_table_fill(&small_sizes, 8, 1 * KiB);
    size_table_fill(&medium_sizes, 1 * KiB, 32 * KiB);
    size_table_fill(&large_sizes, 32 * KiB, 1 * MiB);

    timed_part_begin();
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t random = random_next(&state);
        struct slot *slot = &slots[((random >> 32) * slot_count) >> 32];
        if (slot->pointer != NULL)
            block_drop(slot->pointer, slot->size);
        uint32_t kind = (random >> 12) & 1023;
        const struct size_table *table = kind < 922 ? &small_sizes : kind < 1019 ? &medium_sizes : &large_sizes;
        slot->size = size_table_draw(table, random);
        slot->pointer = calloc_block(slot->size);
    }
    drop_all(slots);
    timed_part_end();
    return operations;
}

static void *aligned_block(size_t alignment, size_t size, bool by_posix_memalign) {
    void *pointer = NULL;
    if (!by_posix_memalign)
        pointer = aligned_alloc(alignment, size);
    else if (posix_memalign(&pointer, alignment, size) != 0)
        pointer = NULL;
    if (pointer == NULL)
        fail("an aligned allocation failed", NULL, size);
    if (checks_contents)
        block_verify_alignment(pointer, alignment);
    block_write(pointer, size);
    return pointer;
}

// Sizes are multiples of the alignment for aligned_alloc, as C11 had it, and any for posix_memalign.
static uint64_t aligned(uint64_t operations) {
    uint64_t state = 0x082efa98ec4e6c89;
    struct slot *slots = table_make(slot_count, sizeof *slots);
    size_table_fill(&small_sizes, 16, 4 * KiB);

    timed_part_begin();
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t random = random_next(&state);
        struct slot *slot = &slots[((random >> 32) * slot_count) >> 32];
        if (slot->pointer != NULL)
            block_drop(slot->pointer, slot->size);
        bool is_rare = ((random >> 13) & 1023) == 0;
        size_t alignment = is_rare ? 64 * KiB : (size_t)32 << ((random >> 10) & 7);
        size_t size = size_table_draw(&small_sizes, random);
        bool by_posix_memalign = (random >> 23) & 1;
        if (!by_posix_memalign)
            size = (size + alignment - 1) & ~(alignment - 1);
        slot->size = size;
        slot->pointer = aligned_block(alignment, size, by_posix_memalign);
    }
    drop_all(slots);
    timed_part_end();
    return operations;
}

const struct workload variant_workloads[] = {
    {"calloc", "1,000 blocks by calloc, mostly up to 1 KiB, some up to 1 MiB, each step replaces a random one",
     3000000, false, calloc_mixed},
    {"aligned", "1,000 blocks aligned to 32-4096 bytes, rarely to 64 KiB, each step replaces a random one", 4000000,
     false, aligned},
    {0},
};
