// False sharing: threads write to small blocks of their own, over and over. Where a malloc puts blocks of two threads
// on one cache line, each write waits for the other processor.
//
// `cache-thrash`: each thread allocates a block, writes to it, frees it: does the malloc itself give two threads parts
// of one line (actively)? `cache-scratch`: before, each thread is handed a block that one thread made, all of them side
// by side, writes to it and frees it: does it keep such a piece of a shared line for later requests (passively)? Both
// ideas are from the papers on Hoard (Berger and others, 2000). An operation is one block's life, its 100 writes
// included.
//
// They check themselves: a block counts its writes, which nobody else may have changed.

#include "blocks.h"

#include <pthread.h>

enum { thread_count = 4, block_size = 8, writes_per_block = 100, blocks_per_thread = 25000 };

struct worker {
    pthread_t thread;
    volatile uint64_t *handed; // NULL, or a block that another thread allocated
    uint64_t blocks;
};

static pthread_barrier_t all_started;

static void write_often(volatile uint64_t *block) {
    *block = 0;
    for (int i = 0; i < writes_per_block; i++)
        *block = *block + 1;
    if (*block != writes_per_block)
        fail("another thread wrote to a block", (const void *)block, (size_t)*block);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    pthread_barrier_wait(&all_started);
    if (worker->handed != NULL) {
        write_often(worker->handed);
        free((void *)worker->handed);
    }
    for (uint64_t i = 0; i < worker->blocks; i++) {
        uint64_t *block = malloc(block_size);
        if (block == NULL)
            fail("malloc failed", NULL, block_size);
        escape(block);
        write_often(block);
        free(block);
    }
    return NULL;
}

static uint64_t share(uint64_t operations, bool hands_out) {
    // Threads that start anew each round, so that none of them keeps what it was handed first.
    uint64_t rounds = operations / (blocks_per_thread * thread_count) + 1;
    uint64_t each = operations / (rounds * thread_count) + 1;
    static struct worker workers[thread_count];
    pthread_barrier_init(&all_started, NULL, thread_count);
    timed_part_begin();
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < thread_count; i++) {
            workers[i].blocks = each;
            workers[i].handed = hands_out ? block_make(block_size) : NULL;
        }
        for (int i = 0; i < thread_count; i++) {
            if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
                fail("cannot create a thread", NULL, (size_t)i);
        }
        for (int i = 0; i < thread_count; i++)
            pthread_join(workers[i].thread, NULL);
    }
    timed_part_end();
    return rounds * thread_count * (each + (hands_out ? 1 : 0));
}

static uint64_t cache_thrash(uint64_t operations) {
    return share(operations, false);
}

static uint64_t cache_scratch(uint64_t operations) {
    return share(operations, true);
}

const struct workload sharing_workloads[] = {
    {"cache-thrash", "four threads allocate 8 bytes, write to them 100 times and free them, over and over", 4000000,
     false, cache_thrash},
    {"cache-scratch", "the same after each wrote to and freed a neighbour of the others' blocks that one thread made",
     4000000, false, cache_scratch},
    {0},
};
