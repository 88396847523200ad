/* Threads that free, grow and read each other's blocks: through a table in which each takes out what another put in,
   and through producers that have ended when their blocks are freed. Contents are checked whenever a block changes
   hands. */
#include "conformance.h"

enum { threads = 4, slots = 4096, exchanges = 200000, generations = 40, handed_over = 5000 };

/* In front of each block's contents: what they must be. */
struct head {
    uint64_t size, seed;
};

static _Atomic(struct head *) table[slots];

static struct head *made(uint64_t *state)
{
    uint64_t kind = next_random(state) % 1000;
    size_t size = kind < 700 ? next_random(state) % 256
                : kind < 990 ? next_random(state) % 8000
                : kind < 999 ? next_random(state) % 200000
                             : next_random(state) % (4 * MiB);
    size_t whole = sizeof(struct head) + size;
    struct head *block;
    switch (next_random(state) % 4) {
    case 0: block = calloc(1, whole); break;
    case 1: block = memalign((size_t)16 << next_random(state) % 8, whole); break;
    default: block = malloc(whole);
    }
    if (!CHECK(block != NULL, "%zu bytes cannot be had", whole)) return NULL;
    block->size = size;
    block->seed = next_random(state);
    fill(block + 1, size, block->seed);
    return block;
}

static void check(struct head *block)
{
    CHECK(is_filled(block + 1, block->size, block->seed), "a block of %zu bytes at %p was overwritten",
          (size_t)block->size, (void *)block);
}

static void *exchange(void *seed)
{
    uint64_t state = (uint64_t)(uintptr_t)seed << 32;
    for (int i = 0; i < exchanges; i++) {
        struct head *block = atomic_exchange(&table[next_random(&state) % slots], NULL);
        if (block == NULL) {
            block = made(&state);
        } else {
            check(block);
            if (next_random(&state) % 8 == 0) {
                uint64_t size = next_random(&state) % 2000;
                uint64_t kept = size < block->size ? size : block->size;
                block = realloc(block, sizeof *block + size);
                CHECK(is_filled(block + 1, kept, block->seed), "a realloc of another thread's block lost contents");
                block->size = size;
                fill(block + 1, size, block->seed);
            } else {
                free(block);
                block = next_random(&state) % 2 == 0 ? made(&state) : NULL;
            }
        }
        /* What was in the slot meanwhile is another thread's. */
        block = atomic_exchange(&table[next_random(&state) % slots], block);
        if (block != NULL) {
            check(block);
            free(block);
        }
    }
    return NULL;
}

struct delivery {
    uint64_t seed;
    struct head *blocks[handed_over];
};

static void *produce(void *argument)
{
    struct delivery *delivery = argument;
    uint64_t state = delivery->seed;
    for (int i = 0; i < handed_over; i++) delivery->blocks[i] = made(&state);
    return NULL;
}

static void *consume(void *argument)
{
    struct delivery *delivery = argument;
    for (int i = 0; i < handed_over; i++) {
        check(delivery->blocks[i]);
        free(delivery->blocks[i]);
    }
    return NULL;
}

int main(void)
{
    pthread_t ids[threads];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < threads; i++)
            pthread_create(&ids[i], NULL, exchange, (void *)(uintptr_t)(round * threads + i + 1));
        for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    }
    for (int i = 0; i < slots; i++) {
        struct head *block = atomic_exchange(&table[i], NULL);
        if (block == NULL) continue;
        check(block);
        free(block);
    }

    /* A generation consumes what the one before it produced, while the next one's blocks are produced. */
    struct delivery *full = calloc(1, sizeof *full), *empty = calloc(1, sizeof *empty);
    produce(full);
    for (int i = 1; i <= generations; i++) {
        empty->seed = (uint64_t)i << 20;
        pthread_create(&ids[0], NULL, produce, empty);
        pthread_create(&ids[1], NULL, consume, full);
        pthread_join(ids[0], NULL);
        pthread_join(ids[1], NULL);
        struct delivery *swapped = full;
        full = empty;
        empty = swapped;
    }
    consume(full);
    free(full);
    free(empty);
    /* About 800 MB went through, of which 50 MB were live at a time. */
    CHECK(status_kilobytes("VmHWM") < 250 * 1024, "the process grew to %ld KiB", status_kilobytes("VmHWM"));
    return finish();
}
