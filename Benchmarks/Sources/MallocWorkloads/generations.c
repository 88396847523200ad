// Threads that come and go. `generations`: two chains of threads; each thread works on the blocks that its predecessor
// left, replacing random ones, starts its successor and ends. `thread-start-end`: threads so short that starting and
// ending them is what costs.

#include "blocks.h"

#include <pthread.h>
#include <semaphore.h>

enum { chain_count = 2, blocks_per_chain = 4000, steps_per_thread = 20000 };

struct block {
    void *pointer;
    size_t size;
};

struct chain {
    struct block *blocks;
    uint64_t random_state;
    uint64_t threads_left;
    pthread_t predecessor;
    bool has_predecessor;
    sem_t ended;
};

static struct size_table sizes;

static void replace_random_blocks(struct chain *chain) {
    uint64_t state = chain->random_state;
    for (int i = 0; i < steps_per_thread; i++) {
        uint64_t random = random_next(&state);
        struct block *block = &chain->blocks[((random >> 32) * blocks_per_chain) >> 32];
        if (block->pointer != NULL)
            block_drop(block->pointer, block->size);
        block->size = size_table_draw(&sizes, random);
        block->pointer = block_make(block->size);
    }
    chain->random_state = state;
}

// A successor first joins its predecessor: what a thread leaves behind at its end is there to be taken over.
static void *chain_thread(void *argument) {
    struct chain *chain = argument;
    if (chain->has_predecessor)
        pthread_join(chain->predecessor, NULL);
    replace_random_blocks(chain);
    chain->predecessor = pthread_self();
    chain->has_predecessor = true;
    if (--chain->threads_left == 0) {
        sem_post(&chain->ended);
        return NULL;
    }
    pthread_t successor;
    if (pthread_create(&successor, NULL, chain_thread, chain) != 0)
        fail("cannot create a thread", NULL, chain->threads_left);
    return NULL;
}

static uint64_t generations(uint64_t operations) {
    static struct chain chains[chain_count];
    uint64_t threads_per_chain = operations / (chain_count * steps_per_thread);
    threads_per_chain = threads_per_chain < 2 ? 2 : threads_per_chain;
    size_table_fill(&sizes, 8, 1024);
    for (int i = 0; i < chain_count; i++) {
        chains[i].blocks = table_make(blocks_per_chain, sizeof *chains[i].blocks);
        chains[i].random_state = 0xbe5466cf34e90c6c + (uint64_t)i;
        chains[i].threads_left = threads_per_chain;
        sem_init(&chains[i].ended, 0, 0);
    }

    timed_part_begin();
    for (int i = 0; i < chain_count; i++) {
        pthread_t first;
        if (pthread_create(&first, NULL, chain_thread, &chains[i]) != 0)
            fail("cannot create a thread", NULL, 0);
    }
    for (int i = 0; i < chain_count; i++) {
        while (sem_wait(&chains[i].ended) != 0)
            continue;
        pthread_join(chains[i].predecessor, NULL);
        for (int j = 0; j < blocks_per_chain; j++) {
            if (chains[i].blocks[j].pointer != NULL)
                block_drop(chains[i].blocks[j].pointer, chains[i].blocks[j].size);
        }
    }
    timed_part_end();
    return chain_count * threads_per_chain * steps_per_thread;
}

static void *short_thread(void *unused) {
    static const size_t block_sizes[] = {16, 48, 128, 400, 1000, 4096, 20000, 24};
    enum { block_count = sizeof block_sizes / sizeof block_sizes[0] };
    void *blocks[block_count];
    (void)unused;
    for (int i = 0; i < block_count; i++)
        blocks[i] = block_make(block_sizes[i]);
    for (int i = 0; i < block_count; i++)
        block_drop(blocks[i], block_sizes[i]);
    return NULL;
}

static uint64_t thread_start_end(uint64_t operations) {
    timed_part_begin();
    for (uint64_t i = 0; i < operations; i += 2) {
        pthread_t threads[2];
        for (int j = 0; j < 2; j++) {
            if (pthread_create(&threads[j], NULL, short_thread, NULL) != 0)
                fail("cannot create a thread", NULL, i);
        }
        for (int j = 0; j < 2; j++)
            pthread_join(threads[j], NULL);
    }
    timed_part_end();
    return (operations + 1) / 2 * 2;
}

const struct workload generation_workloads[] = {
    {"generations", "two chains of threads, each inherits 4,000 blocks of 8 bytes to 1 KiB and replaces random ones",
     32000000, false, generations},
    {"thread-start-end", "threads that allocate eight blocks, free them and end (an operation: one thread)", 30000,
     false, thread_start_end},
    {0},
};
