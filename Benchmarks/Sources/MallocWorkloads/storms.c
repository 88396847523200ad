// Threads that allocate most while they end: each makes a burst of blocks, and the destructor of its thread-local data
// frees them, makes a burst more, as objects do that write out what they hold when their thread ends, and frees that
// too. By then a malloc may have ended what it keeps for the thread: it must go on without, or set it up anew. An
// operation is one block's life.
//
// It checks itself: what a block holds is verified, and the destructors must have run as often as threads ended.

#include "blocks.h"

#include <pthread.h>

enum { threads_at_once = 4, burst_count = 200 };

struct block {
    uint64_t *pointer;
    uint64_t value;
};

struct thread_data {
    struct block blocks[burst_count];
    uint64_t random_state;
};

static pthread_key_t key;
static struct size_table sizes;
static uint64_t destructors_run; // atomic

static void burst_make(struct thread_data *data) {
    for (int i = 0; i < burst_count; i++) {
        data->blocks[i].value = random_next(&data->random_state);
        data->blocks[i].pointer = block_make(size_table_draw(&sizes, data->blocks[i].value));
        *data->blocks[i].pointer = data->blocks[i].value;
    }
}

static void burst_drop(struct thread_data *data) {
    for (int i = 0; i < burst_count; i++) {
        if (*data->blocks[i].pointer != data->blocks[i].value)
            fail("contents changed", data->blocks[i].pointer, sizeof(uint64_t));
        free(data->blocks[i].pointer);
    }
}

static void thread_ends(void *value) {
    struct thread_data *data = value;
    burst_drop(data);
    burst_make(data);
    burst_drop(data);
    __atomic_fetch_add(&destructors_run, 1, __ATOMIC_RELAXED);
}

static void *thread_main(void *argument) {
    pthread_setspecific(key, argument);
    burst_make(argument);
    return NULL;
}

static uint64_t thread_storms(uint64_t operations) {
    uint64_t rounds = operations / (threads_at_once * 2 * burst_count) + 1;
    struct thread_data *data = table_make(threads_at_once, sizeof *data);
    size_table_fill(&sizes, 8, 2048);
    // Later than any key of a malloc's that is made at its first call: destructors run in the order of the keys.
    free(block_make(16));
    if (pthread_key_create(&key, thread_ends) != 0)
        fail("cannot create a key", NULL, 0);

    timed_part_begin();
    for (uint64_t round = 0; round < rounds; round++) {
        pthread_t threads[threads_at_once];
        for (int i = 0; i < threads_at_once; i++) {
            data[i].random_state = 0xa458fea3f4933d7e + round * threads_at_once + (uint64_t)i;
            if (pthread_create(&threads[i], NULL, thread_main, &data[i]) != 0)
                fail("cannot create a thread", NULL, round);
        }
        for (int i = 0; i < threads_at_once; i++)
            pthread_join(threads[i], NULL);
    }
    timed_part_end();
    if (destructors_run != rounds * threads_at_once)
        fail("a thread's destructor did not run", NULL, destructors_run);
    return rounds * threads_at_once * 2 * burst_count;
}

const struct workload storm_workloads[] = {
    {"thread-storms", "short threads that allocate 200 blocks, and 200 more while they end", 5000000, false,
     thread_storms},
    {0},
};
