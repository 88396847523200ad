/* Every size from 0 to 70,000 and sizes around the powers of two up to 256 MiB: alignment, usable size, that all of it
   can be written without touching a neighbour, and the blocks of zero bytes. */
#include "conformance.h"

enum { neighbours = 64 };

static struct {
    uint8_t *block;
    size_t usable;
    uint64_t seed;
} live[neighbours];

static void replace(size_t slot, void *block, size_t asked, const char *how)
{
    if (live[slot].block != NULL) {
        CHECK(is_filled(live[slot].block, live[slot].usable, live[slot].seed),
              "a block of %zu bytes was overwritten while it was live", live[slot].usable);
        free(live[slot].block);
    }
    live[slot].block = block;
    if (block == NULL) return;
    live[slot].usable = malloc_usable_size(block);
    live[slot].seed = asked * 1000003;
    CHECK(is_aligned(block, promised_alignment(asked)), "%s of %zu bytes gave %p", how, asked, block);
    CHECK(live[slot].usable >= asked, "%s of %zu bytes: usable size %zu", how, asked, live[slot].usable);
    fill(block, live[slot].usable, live[slot].seed);
}

static void every_size(void)
{
    for (size_t size = 0; size <= 70000; size++) {
        void *block = malloc(size);
        if (CHECK(block != NULL, "malloc(%zu) is NULL", size)) replace(size % neighbours, block, size, "malloc");
    }
    for (size_t size = 0; size <= 70000; size += 3) {
        char *block = calloc(1, size);
        if (!CHECK(block != NULL, "calloc(1, %zu) is NULL", size)) continue;
        CHECK(is_zero(block, size), "calloc(1, %zu) is not zero", size);
        replace(size % neighbours, block, size, "calloc");
    }
    for (size_t size = 0; size <= 70000; size += 7) {
        void *block = realloc(NULL, size);
        if (CHECK(block != NULL, "realloc(NULL, %zu) is NULL", size)) replace(size % neighbours, block, size, "realloc");
    }
    for (size_t slot = 0; slot < neighbours; slot++) replace(slot, NULL, 0, "");
}

static void big_sizes(void)
{
    for (size_t power = 64 * KiB; power <= 256 * MiB; power *= 2) {
        size_t sizes[] = {power - 1, power, power + 1, power + power / 2, power + power / 2 + 4097};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            uint8_t *block = malloc(sizes[i]);
            if (!CHECK(block != NULL, "malloc(%zu) is NULL", sizes[i])) continue;
            size_t usable = malloc_usable_size(block);
            CHECK(is_aligned(block, 16), "malloc(%zu) gave %p", sizes[i], (void *)block);
            CHECK(usable >= sizes[i], "malloc(%zu): usable size %zu", sizes[i], usable);
            if (usable <= 4 * MiB) memset(block, 0xa5, usable);
            block[0] = block[usable / 2] = block[usable - 1] = 1;
            free(block);
        }
    }
}

/* Each request for nothing gives a block of its own. */
static void zero_sizes(void)
{
    enum { count = 500 };
    static void *blocks[4 * count];
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        blocks[found++] = malloc(0);
        blocks[found++] = calloc(0, 16);
        blocks[found++] = calloc(16, 0);
        blocks[found++] = realloc(NULL, 0);
    }
    for (size_t i = 0; i < found; i++) {
        CHECK(blocks[i] != NULL, "request %zu for zero bytes gave NULL", i);
        for (size_t j = 0; j < i; j++)
            if (blocks[i] == blocks[j]) CHECK(0, "requests %zu and %zu for zero bytes gave the same block", i, j);
    }
    for (size_t i = 0; i < found; i++) free(blocks[i]);
}

static void nothing(void)
{
    errno = 0;
    for (int i = 0; i < 1000; i++) free(NULL);
    CHECK(errno == 0, "free(NULL) set errno");
    CHECK(malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL) is %zu", malloc_usable_size(NULL));

    /* As in glibc, realloc to nothing frees. Without the free, this loop would need 10 GiB. */
    long before = status_kilobytes("VmRSS");
    for (int i = 0; i < 10000; i++) {
        void *block = malloc(MiB);
        memset(block, 1, 4096);
        void *volatile none = realloc(block, 0);
        CHECK(none == NULL, "realloc(p, 0) gave %p", none);
    }
    long grown = status_kilobytes("VmRSS") - before;
    CHECK(grown < 20 * 1024, "realloc(p, 0) does not free: %ld KiB more are resident", grown);
}

int main(void)
{
    every_size();
    big_sizes();
    zero_sizes();
    nothing();
    return finish();
}
