/* realloc keeps contents from every range of sizes to every other, up to 64 MiB: step by step upwards and downwards,
   from each size to each size, and while other blocks grow beside it. */
#include "conformance.h"

static void *resized(void *block, size_t from, size_t to, uint64_t seed)
{
    char *moved = realloc(block, to);
    if (!CHECK(moved != NULL, "realloc from %zu to %zu bytes is NULL", from, to)) return block;
    CHECK(is_aligned(moved, promised_alignment(to)), "realloc to %zu bytes gave %p", to, (void *)moved);
    CHECK(malloc_usable_size(moved) >= to, "realloc to %zu: usable size %zu", to, malloc_usable_size(moved));
    CHECK(is_filled(moved, from < to ? from : to, seed), "realloc from %zu to %zu bytes lost contents", from, to);
    return moved;
}

static void up_and_down(void)
{
    size_t steps[200], count = 0;
    for (size_t size = 1; size <= 64 * MiB; size += 1 + size / 4) steps[count++] = size;
    char *block = malloc(1);
    fill(block, 1, 0);
    for (size_t i = 1; i < count; i++) {
        block = resized(block, steps[i - 1], steps[i], i - 1);
        fill(block, steps[i], i);
    }
    for (size_t i = count - 1; i-- > 0;) {
        block = resized(block, steps[i + 1], steps[i], i + 1);
        fill(block, steps[i], i);
    }
    free(block);
}

static void each_to_each(void)
{
    static const size_t sizes[] = {
        1,         8,         9,         16,       17,       40,       100,     256,     257,     1000,
        1024,      1025,      4000,      4097,     8192,     20000,    32768,   32769,   50000,   65536,
        65537,     100000,    131073,    200000,   262145,   500000,   MiB - 1, MiB,     MiB + 1, 3 * MiB,
        4 * MiB,   4 * MiB + 1, 7 * MiB, 20 * MiB, 64 * MiB,
    };
    enum { count = sizeof sizes / sizeof *sizes };
    for (size_t from = 0; from < count; from++)
        for (size_t to = 0; to < count; to++) {
            if (sizes[from] > 8 * MiB && to % 3 != 0) continue;
            void *block = malloc(sizes[from]);
            if (!CHECK(block != NULL, "malloc(%zu) is NULL", sizes[from])) continue;
            fill(block, sizes[from], from * count + to);
            free(resized(block, sizes[from], sizes[to], from * count + to));
        }
}

/* Forty blocks grow in turn, so that none has room behind it for ever. */
static void side_by_side(void)
{
    enum { count = 40 };
    char *blocks[count];
    size_t sizes[count];
    uint64_t state = 7;
    for (size_t i = 0; i < count; i++) {
        sizes[i] = 1 + i;
        blocks[i] = malloc(sizes[i]);
        fill(blocks[i], sizes[i], i);
    }
    for (int step = 0; step < 2500; step++) {
        size_t i = next_random(&state) % count, size = sizes[i] + 1 + next_random(&state) % (sizes[i] + 1);
        if (size > 2 * MiB) size = 1 + next_random(&state) % 100;
        blocks[i] = resized(blocks[i], sizes[i], size, i);
        sizes[i] = size;
        fill(blocks[i], size, i);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(is_filled(blocks[i], sizes[i], i), "block %zu was overwritten by another's realloc", i);
        free(blocks[i]);
    }
}

/* Shrinking a big block must give memory back: a hundred blocks of 4 MiB cut to 100 bytes cannot stay resident. */
static void shrunk(void)
{
    enum { count = 100 };
    char *blocks[count];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(4 * MiB);
        memset(blocks[i], 1, 4 * MiB);
        fill(blocks[i], 100, i);
        blocks[i] = resized(blocks[i], 100, 100, i);
    }
    long resident = status_kilobytes("VmRSS");
    CHECK(resident < 200 * 1024, "blocks cut from 4 MiB to 100 bytes keep %ld KiB resident", resident);
    for (size_t i = 0; i < count; i++) free(blocks[i]);
}

int main(void)
{
    up_and_down();
    each_to_each();
    side_by_side();
    shrunk();
    return finish();
}
