/* No errors: what looks like one, and is allowed. Nothing may be said of it, in any mode. */
#include "suite.h"

extern void free_sized(void *block, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t size) __attribute__((weak));

static const size_t sizes[] = {1,    8,    9,     16,    24,        25,      64,       65,       100,
                               512,  1000, 1024,  1025,  4000,      4096,    5000,     32768,    32769,
                               65536, 100000, 131072, 300000, 1048576, 5000000, 16777216, 16777217, 20000000};
/* Up to MANY there are enough to try each with each. */
enum { SIZES = sizeof sizes / sizeof sizes[0], MANY = SIZES - 5 };

/* Each byte that was asked for, and not one more. */
static enum verdict to_the_end(void)
{
    for (int i = 0; i < SIZES; i++) {
        char *block = malloc(sizes[i]);
        memset(block, 0xff, sizes[i]);
        free(block);
        block = calloc(1, sizes[i]);
        if (!is_zero(block, sizes[i])) return MISSED;
        memset(block, 0xff, sizes[i]);
        free(block);
    }
    live_on(100);
    return HARMLESS;
}

/* What `malloc_usable_size` grants. */
static enum verdict usable(void)
{
    for (int i = 0; i < SIZES; i++) {
        char *block = malloc(sizes[i]);
        size_t granted = malloc_usable_size(block);
        if (granted < sizes[i]) return MISSED;
        memset(block, 0xff, granted);
        block = realloc(block, granted / 2 + 1);
        memset(block, 0xee, malloc_usable_size(block));
        free(block);
    }
    live_on(100);
    return HARMLESS;
}

/* Blocks that grow and shrink, filled to their end each time. */
static enum verdict resized(void)
{
    uint32_t random = 12345;
    char *block = NULL;
    size_t size = 0;
    for (int i = 0; i < 3000; i++) {
        random = random * 1664525 + 1013904223;
        size_t wanted = 1 + (random >> 8) % (i % 50 == 0 ? 3000000 : i % 2 == 0 ? 3000 : size + size / 8 + 1);
        size_t kept = wanted < size ? wanted : size;
        block = realloc(block, wanted);
        for (size_t byte = 0; byte < kept; byte += 97)
            if (block[byte] != 0x41) return MISSED;
        memset(block, 0x41, wanted);
        size = wanted;
    }
    free(block);
    live_on(100);
    return HARMLESS;
}

/* The right size, of blocks from everywhere. */
static enum verdict right_size(void)
{
    if (free_sized == NULL) return HARMLESS;
    for (int i = 0; i < SIZES; i++) {
        free_sized(filled(sizes[i]), sizes[i]);
        free_sized(calloc(1, sizes[i]), sizes[i]);
        for (int j = 0; j < MANY && i < MANY; j++) {
            char *block = realloc(filled(sizes[i]), sizes[j]);
            free_sized(block, sizes[j]);
        }
        size_t shrinking = sizes[i];
        char *block = filled(shrinking);
        while (shrinking > 1) {
            shrinking -= shrinking / 5 + 1;
            if (shrinking == 0) shrinking = 1;
            block = realloc(block, shrinking);
        }
        free_sized(block, 1);
    }
    free_sized(malloc(0), 0);
    free_sized(NULL, 100);
    live_on(100);
    return HARMLESS;
}

static enum verdict right_alignment(void)
{
    for (size_t alignment = 8; alignment <= MiB; alignment *= 2) {
        for (int i = 0; i < (alignment == 4 * KiB ? SIZES : MANY); i++) {
            void *block = NULL;
            if (posix_memalign(&block, alignment, sizes[i]) != 0) return MISSED;
            memset(block, 0xff, sizes[i]);
            free(block);
            block = aligned_alloc(alignment, sizes[i]);
            if (block == NULL || (uintptr_t)block % alignment != 0) return MISSED;
            memset(block, 0xff, sizes[i]);
            if (free_aligned_sized != NULL) free_aligned_sized(block, alignment, sizes[i]); else free(block);
        }
    }
    if (free_aligned_sized != NULL) free_aligned_sized(NULL, 64, 100);
    live_on(100);
    return HARMLESS;
}

/* What freed blocks look like, in live ones. */
static enum verdict copies_of_freed(void)
{
    static uint64_t seen[HERD][8];
    struct herd herd = herd_of(64);
    for (int i = 0; i < HERD; i += 2) free(herd.blocks[i]);
    for (int i = 0; i < HERD; i += 2)
        for (int word = 0; word < 8; word++) seen[i][word] = 0xdfdfdfdfdfdfdfdfu + (uint64_t)word * (uint64_t)i;
    for (int i = 0; i < HERD; i += 2) herd.blocks[i] = filled(64);
    for (int i = 0; i < HERD; i++) memcpy(herd.blocks[i], seen[i], 64);
    live_on(64);
    drop(&herd);
    return HARMLESS;
}

static struct herd mine;

static void *drop_mine(void *unused)
{
    drop(&mine);
    mine = herd_of(200);
    live_on(200);
    return unused;
}

/* Freed by others, and allocated by threads that are gone. */
static enum verdict across_threads(void)
{
    mine = herd_of(200);
    for (int i = 0; i < 4; i++) on_a_thread(drop_mine, NULL);
    live_on(200);
    drop(&mine);
    return HARMLESS;
}

static enum verdict failures(void)
{
    void *volatile none = malloc(hidden_size(SIZE_MAX / 2));
    if (none != NULL) return MISSED;
    char *block = filled(100);
    none = realloc(block, hidden_size(SIZE_MAX / 2));
    if (none != NULL) return MISSED;
    memset(block, 1, 100);
    free(block);
    free(NULL);
    if (malloc_usable_size(NULL) != 0) return MISSED;
    live_on(100);
    return HARMLESS;
}

const struct misuse innocents[] = {
    {"right_to_the_end", "each byte that was asked for is written to", to_the_end},
    {"right_usable", "all that `malloc_usable_size` grants is written to", usable},
    {"right_resized", "blocks that grow and shrink, 3000 times", resized},
    {"right_size", "`free_sized` with the size last asked for", right_size},
    {"right_alignment", "`free_aligned_sized` with the size and alignment asked for", right_alignment},
    {"right_contents", "contents like those of freed blocks", copies_of_freed},
    {"right_across_threads", "blocks that other threads free, of threads that ended", across_threads},
    {"right_failures", "requests that are refused, and frees of nothing", failures},
    {NULL, NULL, NULL},
};
