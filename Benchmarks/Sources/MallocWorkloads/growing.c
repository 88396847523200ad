// Blocks that grow by realloc: strings that are appended to, and large buffers. With --check the whole contents are
// verified before a block is freed, and the last byte of the old contents after each realloc.

#include "blocks.h"

struct growing {
    unsigned char *bytes;
    size_t length;
    size_t limit; // freed, to begin anew, when it would grow beyond
};

enum { KiB = 1024, MiB = 1024 * 1024 };

static unsigned char byte_at(size_t offset) {
    return (unsigned char)(offset ^ (offset >> 8) ^ (offset >> 16));
}

static void growing_drop(struct growing *item) {
    if (checks_contents) {
        for (size_t offset = 0; offset < item->length; offset++) {
            if (item->bytes[offset] != byte_at(offset))
                fail("contents changed by realloc", item->bytes + offset, item->length);
        }
    }
    free(item->bytes);
    item->bytes = NULL;
    item->length = 0;
}

static inline unsigned char *grow_to(struct growing *item, size_t length) {
    unsigned char *bytes = realloc(item->bytes, length);
    if (bytes == NULL)
        fail("realloc failed", item->bytes, length);
    escape(bytes);
    if (checks_contents && item->length > 0 && bytes[item->length - 1] != byte_at(item->length - 1))
        fail("contents changed by realloc", bytes, item->length);
    item->bytes = bytes;
    return bytes;
}

// Appends to the string, byte for byte, as a program would.
static inline void string_append(struct growing *string, size_t count) {
    if (string->length + count > string->limit)
        growing_drop(string);
    size_t length = string->length + count;
    unsigned char *bytes = grow_to(string, length);
    for (size_t offset = string->length; offset < length; offset++)
        bytes[offset] = byte_at(offset);
    string->length = length;
}

static uint64_t realloc_strings(uint64_t operations) {
    enum { string_count = 1000, long_string_count = 4, sample_count = 4096 };
    struct growing *strings = table_make(string_count + long_string_count, sizeof *strings);
    struct growing *long_strings = strings + string_count;
    uint64_t state = 0x13198a2e03707344;
    for (int i = 0; i < string_count; i++)
        strings[i].limit = 64 + random_below(&state, 6 * KiB);
    for (int i = 0; i < long_string_count; i++)
        long_strings[i].limit = (size_t)(1 + i) * MiB;

    timed_part_begin();
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t random = random_next(&state);
        size_t count = 1 + (random & 63);
        uint32_t chosen = (uint32_t)(((random >> 32) * string_count) >> 32);
        // One append in four goes to one of the long strings.
        bool goes_to_long = (random & 0xc0) == 0;
        string_append(goes_to_long ? &long_strings[chosen % long_string_count] : &strings[chosen], count);
    }
    for (int i = 0; i < string_count + long_string_count; i++)
        growing_drop(&strings[i]);
    timed_part_end();
    return operations;
}

// Large buffers: only the first byte of each new 4 KiB page is written, and all of them with --check.
static inline void buffer_grow(struct growing *buffer, size_t length) {
    unsigned char *bytes = grow_to(buffer, length);
    if (checks_contents) {
        for (size_t offset = buffer->length; offset < length; offset++)
            bytes[offset] = byte_at(offset);
    } else {
        for (size_t offset = buffer->length; offset < length; offset += touch_distance)
            bytes[offset] = byte_at(offset);
    }
    buffer->length = length;
}

static size_t tenth_more(size_t length) {
    size_t next = length + length / 10;
    return next + 64 * KiB - next % (64 * KiB);
}

static uint64_t grow_alone(size_t final, bool by_a_tenth) {
    struct growing buffer = {0};
    uint64_t steps = 0;
    for (size_t length = 64 * KiB; length <= final; steps++) {
        buffer_grow(&buffer, length);
        length = by_a_tenth ? tenth_more(length) : length + 64 * KiB;
    }
    growing_drop(&buffer);
    return steps;
}

static uint64_t grow_interleaved(size_t final) {
    struct growing buffers[4] = {{0}};
    uint64_t steps = 0;
    for (size_t length = 64 * KiB; length <= final; length = tenth_more(length)) {
        for (int i = 0; i < 4; i++, steps++)
            buffer_grow(&buffers[i], length);
    }
    for (int i = 0; i < 4; i++)
        growing_drop(&buffers[i]);
    return steps;
}

static uint64_t realloc_large(uint64_t operations) {
    uint64_t done = 0;
    timed_part_begin();
    while (done < operations) {
        done += grow_alone(64 * MiB, true);
        done += grow_alone(16 * MiB, false);
        done += grow_interleaved(16 * MiB);
    }
    timed_part_end();
    return done;
}

const struct workload growing_workloads[] = {
    {"realloc-strings", "strings appended to by 1-64 bytes, to 6 KiB, and some to 4 MiB (an operation: one append)",
     8000000, false, realloc_strings},
    {"realloc-large", "buffers growing to 16 and 64 MiB by a tenth or 64 KiB (an operation: one realloc)", 4000,
     false, realloc_large},
    {0},
};
