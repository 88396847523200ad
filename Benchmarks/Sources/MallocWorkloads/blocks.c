// The parts of blocks.h that only `--check` or the preparation of a workload reaches, out of line.

#include "blocks.h"

bool checks_contents = false;

static uint64_t word_at(uint64_t tag, size_t index) {
    return tag ^ (index * UINT64_C(0x9e3779b97f4a7c15));
}

// The last word may overlap the one before it: it is written last and verified by the same rule.
void block_fill(void *pointer, size_t size) {
    uint64_t tag = block_tag(pointer, size);
    size_t count = size / sizeof tag;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = word_at(tag, i);
        memcpy((char *)pointer + i * sizeof word, &word, sizeof word);
    }
    for (size_t offset = count * sizeof tag; offset < size; offset++)
        ((unsigned char *)pointer)[offset] = (unsigned char)(tag + offset);
}

void block_verify(const void *pointer, size_t size) {
    uint64_t tag = block_tag(pointer, size);
    size_t count = size / sizeof tag;
    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, (const char *)pointer + i * sizeof word, sizeof word);
        if (word != word_at(tag, i))
            fail("contents changed", pointer, size);
    }
    for (size_t offset = count * sizeof tag; offset < size; offset++) {
        if (((const unsigned char *)pointer)[offset] != (unsigned char)(tag + offset))
            fail("contents changed", pointer, size);
    }
}

void block_verify_zero(const void *pointer, size_t size) {
    const unsigned char *bytes = pointer;
    for (size_t offset = 0; offset < size; offset++) {
        if (bytes[offset] != 0)
            fail("calloc gave memory that is not zero", pointer, size);
    }
}

void block_verify_alignment(const void *pointer, size_t alignment) {
    if ((uintptr_t)pointer % alignment != 0)
        fail("misaligned", pointer, alignment);
}

// `smallest` times a power of two, plus an even step within the doubling; the last doubling may be cut by `largest`.
void size_table_fill(struct size_table *table, uint32_t smallest, uint32_t largest) {
    uint32_t doublings = 0;
    while (((uint64_t)smallest << doublings) < largest)
        doublings++;
    for (uint32_t i = 0; i < size_table_count; i++) {
        // The position on the logarithmic scale, in 1/1024 of a doubling.
        uint64_t position = (uint64_t)i * doublings * 1024 / (size_table_count - 1);
        uint64_t base = (uint64_t)smallest << (position / 1024);
        uint64_t size = base + base * (position % 1024) / 1024;
        table->sizes[i] = size < largest ? (uint32_t)size : largest;
    }
}
