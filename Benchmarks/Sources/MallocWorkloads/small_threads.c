// Ten threads build up blocks of 8 bytes in one shared array; each then writes to the blocks of its neighbour; each
// then frees half of its own blocks and half of another thread's. Three phases with a barrier between them.

#include "blocks.h"

#include <pthread.h>

enum { thread_count = 10, block_size = 8 };

static uint64_t **blocks; // thread_count rows of blocks_per_thread
static uint64_t blocks_per_thread, rounds;
static pthread_barrier_t barrier;

static uint64_t **row(int thread) {
    return blocks + (uint64_t)(thread % thread_count) * blocks_per_thread;
}

static uint64_t value_of(uint64_t **slot) {
    return (uint64_t)(uintptr_t)slot ^ (uint64_t)(uintptr_t)*slot;
}

static void free_every_other(uint64_t **of, uint64_t first) {
    for (uint64_t i = first; i < blocks_per_thread; i += 2) {
        if (checks_contents && *of[i] != value_of(&of[i]))
            fail("contents changed", of[i], block_size);
        free(of[i]);
    }
}

static void *thread_main(void *argument) {
    int self = (int)(intptr_t)argument;
    uint64_t **own = row(self), **neighbour = row(self + 1), **other = row(self + 3);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t i = 0; i < blocks_per_thread; i++) {
            own[i] = block_make(block_size);
            *own[i] = i;
        }
        pthread_barrier_wait(&barrier);
        for (uint64_t i = 0; i < blocks_per_thread; i++) {
            if (checks_contents && *neighbour[i] != i)
                fail("contents changed", neighbour[i], block_size);
            *neighbour[i] = value_of(&neighbour[i]);
        }
        pthread_barrier_wait(&barrier);
        free_every_other(own, 0);
        free_every_other(other, 1);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static uint64_t small_threads_build(uint64_t operations) {
    const uint64_t most_per_thread = 200000;
    uint64_t per_thread = operations / thread_count;
    blocks_per_thread = per_thread < 1 ? 1 : per_thread < most_per_thread ? per_thread : most_per_thread;
    rounds = (per_thread + blocks_per_thread - 1) / blocks_per_thread;
    rounds = rounds < 1 ? 1 : rounds;
    blocks = table_make(thread_count * blocks_per_thread, sizeof *blocks);
    pthread_barrier_init(&barrier, NULL, thread_count);

    pthread_t threads[thread_count];
    timed_part_begin();
    for (int i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, thread_main, (void *)(intptr_t)i) != 0)
            fail("cannot create a thread", NULL, (size_t)i);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    timed_part_end();
    return thread_count * blocks_per_thread * rounds;
}

const struct workload small_threads_workloads[] = {
    {"small-threads-build", "ten threads build up 8-byte blocks, write to a neighbour's, free theirs and others'",
     16000000, false, small_threads_build},
    {0},
};
