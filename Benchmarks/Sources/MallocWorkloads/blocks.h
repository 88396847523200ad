// What a workload does with a block: escape it from the optimiser, write to it as a program would, and, with
// `--check`, fill it wholly with a pattern that is verified when the block is freed. And the random numbers: seeded,
// so that every malloc gets the same sequence.

#ifndef BLOCKS_H
#define BLOCKS_H

#include "workloads.h"

#include <string.h>

// Set by --check before the workload starts, constant afterwards.
extern bool checks_contents;

static inline void escape(void *pointer) {
    __asm__ volatile("" ::"r"(pointer) : "memory");
}

enum { smallest_block = 8, written_at_both_ends = 1024, touch_distance = 4096 };

void block_fill(void *pointer, size_t size);
void block_verify(const void *pointer, size_t size);
void block_verify_zero(const void *pointer, size_t size);
void block_verify_alignment(const void *pointer, size_t alignment);

// What the first and last word of a block hold: depends on the block alone, so that no one needs to remember it.
static inline uint64_t block_tag(const void *pointer, size_t size) {
    return (uint64_t)(uintptr_t)pointer ^ ((uint64_t)size << 48) ^ 0x5a5a;
}

// Up to 1 KiB the first and the last word, above one word in every 4 KiB. `size` is at least 8.
static inline void block_write(void *pointer, size_t size) {
    escape(pointer);
    if (__builtin_expect(checks_contents, false)) {
        block_fill(pointer, size);
        return;
    }
    uint64_t tag = block_tag(pointer, size);
    if (size <= written_at_both_ends) {
        memcpy(pointer, &tag, sizeof tag);
        memcpy((char *)pointer + size - sizeof tag, &tag, sizeof tag);
    } else {
        for (size_t offset = 0; offset <= size - sizeof tag; offset += touch_distance)
            memcpy((char *)pointer + offset, &tag, sizeof tag);
    }
    escape(pointer);
}

static inline void *block_make(size_t size) {
    void *pointer = malloc(size);
    if (__builtin_expect(pointer == NULL, false))
        fail("malloc failed", pointer, size);
    if (__builtin_expect(checks_contents, false))
        block_verify_alignment(pointer, size >= 16 ? 16 : 8);
    block_write(pointer, size);
    return pointer;
}

static inline void block_drop(void *pointer, size_t size) {
    if (__builtin_expect(checks_contents, false))
        block_verify(pointer, size);
    free(pointer);
}

// xorshift64: the state is never 0.
static inline uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

// A number below `bound`, without a division: the high half of a product.
static inline uint32_t random_below(uint64_t *state, uint32_t bound) {
    return (uint32_t)(((random_next(state) >> 32) * bound) >> 32);
}

// 1,024 sizes from which one is drawn by an index: every doubling from `smallest` to `largest` is as likely.
enum { size_table_count = 1024 };
struct size_table {
    uint32_t sizes[size_table_count];
};
void size_table_fill(struct size_table *table, uint32_t smallest, uint32_t largest);

static inline size_t size_table_draw(const struct size_table *table, uint64_t random) {
    return table->sizes[random % size_table_count];
}

#endif
