/* Seeded random calls of the whole family on 3,000 live blocks: contents, calloc's zeros in memory that was dirty,
   alignment, and no block in another one. Run with a seed, or with the one that is built in. */
#include "conformance.h"

enum { slots = 3000, steps = 400000 };

static struct {
    uint8_t *block;
    size_t size;
    uint64_t seed;
} live[slots];

/* Evenly over the powers of two, so that every range of sizes has its share; few are big. */
static size_t random_size(uint64_t *state)
{
    uint64_t bits = next_random(state) % 1000;
    size_t top = bits < 970 ? 1 + bits % 13 : bits < 998 ? 14 + bits % 5 : 19 + bits % 4;
    return next_random(state) % ((size_t)1 << top);
}

static void release(size_t slot)
{
    if (live[slot].block == NULL) return;
    CHECK(is_filled(live[slot].block, live[slot].size, live[slot].seed),
          "a block of %zu bytes at %p was overwritten", live[slot].size, (void *)live[slot].block);
    free(live[slot].block);
    live[slot].block = NULL;
}

static void renew(size_t slot, uint64_t *state, int step)
{
    size_t size = random_size(state), alignment = promised_alignment(size);
    uint8_t *block = NULL;
    switch (next_random(state) % 8) {
    case 0:
    case 1:
    case 2:
        release(slot);
        block = malloc(size);
        break;
    case 3:
    case 4:
        release(slot);
        block = calloc(size / 4 + 1, 4);
        CHECK(block != NULL && is_zero(block, size), "step %d: calloc of %zu bytes is not zero", step, size);
        break;
    case 5:
        release(slot);
        alignment = (size_t)8 << next_random(state) % 12;
        if (posix_memalign((void **)&block, alignment, size) != 0) block = NULL;
        break;
    default: {
        size_t kept = live[slot].block == NULL ? 0 : live[slot].size < size ? live[slot].size : size;
        if (size == 0) size = 1;
        block = realloc(live[slot].block, size);
        CHECK(block != NULL && is_filled(block, kept, live[slot].seed),
              "step %d: realloc from %zu to %zu bytes lost contents", step, live[slot].size, size);
    }
    }
    if (!CHECK(block != NULL, "step %d: %zu bytes aligned to %zu cannot be had", step, size, alignment)) {
        live[slot].block = NULL;
        return;
    }
    CHECK(is_aligned(block, alignment), "step %d: %p is not aligned to %zu", step, (void *)block, alignment);
    size_t usable = malloc_usable_size(block);
    CHECK(usable >= size, "step %d: usable size %zu of %zu bytes", step, usable, size);
    live[slot].block = block;
    live[slot].size = size < 64 * KiB ? usable : size;
    live[slot].seed = next_random(state);
    fill(block, live[slot].size, live[slot].seed);
}

int main(int count, char **arguments)
{
    uint64_t state = count > 1 ? strtoull(arguments[1], NULL, 10) : 20250;
    for (int step = 0; step < steps; step++) {
        size_t slot = next_random(&state) % slots;
        if (next_random(&state) % 4 == 0)
            release(slot);
        else
            renew(slot, &state, step);
        if (step % 100000 == 99999) {
            /* All at once, and trimmed: what comes next starts from memory that was given back. */
            for (size_t i = 0; i < slots; i++) release(i);
            malloc_trim(0);
        }
    }
    for (size_t i = 0; i < slots; i++) release(i);
    return finish();
}
