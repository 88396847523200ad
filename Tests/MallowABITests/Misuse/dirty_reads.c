/* Memory that is read before it was written. Of `calloc`, whatever lay there before, that does no harm. */
#include "suite.h"

/* Reads all of a block from `calloc`, where blocks of its size with something in them were just freed. */
static enum verdict recycled(size_t size, int count)
{
    char *blocks[HERD];
    for (int i = 0; i < count; i++) blocks[i] = filled(size);
    for (int i = 0; i < count; i++) free(blocks[i]);
    int isClean = 1;
    for (int i = 0; i < count; i++) {
        blocks[i] = calloc(hidden_size(1), size);
        isClean &= is_zero(hidden(blocks[i]), size);
    }
    for (int i = 0; i < count; i++) free(blocks[i]);
    live_on(size);
    return isClean ? HARMLESS : MISSED;
}

static enum verdict small(void) { return recycled(24, HERD); }
static enum verdict table_row(void) { return recycled(100, HERD); }
static enum verdict kilobyte(void) { return recycled(1000, HERD); }
static enum verdict medium(void) { return recycled(20000, HERD); }
static enum verdict large(void) { return recycled(200 * KiB, 20); }
static enum verdict huge(void) { return recycled(20 * MiB, 2); }

static void *free_herd(void *herd)
{
    drop(herd);
    return NULL;
}

static enum verdict freed_by_a_thread(void)
{
    struct herd herd = herd_of(300);
    on_a_thread(free_herd, &herd);
    live_on(300);
    return recycled(300, HERD);
}

/* A count from outside, which nobody checked. */
static enum verdict product(void)
{
    char *block = calloc(hidden_size(SIZE_MAX / 16 + 2), 16);
    if (block == NULL) return HARMLESS;
    memset(block, 0, 4096);
    live_on(4096);
    free(block);
    return MISSED;
}

static enum verdict array_product(void)
{
    char *block = filled(64), *larger = reallocarray(block, hidden_size(SIZE_MAX / 16 + 2), 16);
    if (larger == NULL) {
        free(block);
        return HARMLESS;
    }
    memset(larger, 0, 4096);
    live_on(4096);
    free(larger);
    return MISSED;
}

/* That `realloc` of a zeroed block gives zeros. */
static enum verdict grown(void)
{
    struct herd herd = herd_of(1000);
    drop(&herd);
    char *block = calloc(1, 100);
    block = realloc(block, 1000);
    int isClean = is_zero(hidden(block), 1000);
    live_on(1000);
    free(block);
    return isClean ? HARMLESS : MISSED;
}

const struct misuse dirty_reads[] = {
    {"calloc_24", "blocks of 24 bytes from `calloc` where others were freed", small},
    {"calloc_100", "blocks of 100 bytes", table_row},
    {"calloc_1000", "blocks of 1000 bytes", kilobyte},
    {"calloc_20000", "blocks of 20000 bytes", medium},
    {"calloc_200KiB", "blocks of 200 KiB", large},
    {"calloc_20MiB", "blocks of 20 MiB", huge},
    {"calloc_by_thread", "blocks of 300 bytes, where another thread freed", freed_by_a_thread},
    {"calloc_product", "a product of count and size beyond 2^64", product},
    {"reallocarray_product", "the same, of `reallocarray`", array_product},
    {"calloc_grown", "the end of a block from `calloc` that `realloc` made longer", grown},
    {NULL, NULL, NULL},
};
