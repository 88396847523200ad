// A thread that only frees: three threads allocate and never free, one frees all that they made, in random order across
// the three. Full batches go one way through a queue, empty ones the other; so at most `batches_in_flight` are live.
//
// It checks itself: each block holds a random number; what was read from the blocks before they are freed must sum up
// to what was written into them.

#include "blocks.h"

#include <pthread.h>

enum { producer_count = 3, batch_count = 500, batches_in_flight = 24, batches_mixed = 6 };

struct batch {
    struct batch *next;
    uint32_t count;
    uint64_t *blocks[batch_count];
};

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct batch *first;
    uint32_t count;
};

struct producer {
    pthread_t thread;
    uint64_t random_state;
    uint64_t batches;
    uint64_t sum;
};

static struct queue full = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static struct queue empty = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static struct size_table sizes;

static void put(struct queue *queue, struct batch *batch) {
    pthread_mutex_lock(&queue->mutex);
    batch->next = queue->first;
    queue->first = batch;
    queue->count++;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

// So many batches, as soon as there are.
static struct batch *get(struct queue *queue, uint32_t count) {
    pthread_mutex_lock(&queue->mutex);
    while (queue->count < count)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    struct batch *first = queue->first, *last = first;
    for (uint32_t i = 1; i < count; i++)
        last = last->next;
    queue->first = last->next;
    queue->count -= count;
    last->next = NULL;
    pthread_mutex_unlock(&queue->mutex);
    return first;
}

static void *produce(void *argument) {
    struct producer *producer = argument;
    for (uint64_t i = 0; i < producer->batches; i++) {
        struct batch *batch = get(&empty, 1);
        for (int j = 0; j < batch_count; j++) {
            uint64_t random = random_next(&producer->random_state);
            batch->blocks[j] = block_make(size_table_draw(&sizes, random));
            *batch->blocks[j] = random;
            producer->sum += random;
        }
        put(&full, batch);
    }
    return NULL;
}

// Frees what several batches hold, each time the next block of a random one of them.
static uint64_t free_mixed(struct batch *batches, uint64_t *state) {
    struct batch *mixed[batches_mixed];
    uint32_t left[batches_mixed], live = 0;
    uint64_t sum = 0;
    for (struct batch *batch = batches; batch != NULL; batch = batch->next) {
        mixed[live] = batch;
        left[live++] = batch_count;
    }
    while (live > 0) {
        uint32_t chosen = random_below(state, live);
        uint64_t *block = mixed[chosen]->blocks[--left[chosen]];
        sum += *block;
        free(block);
        if (left[chosen] == 0) {
            live--;
            mixed[chosen] = mixed[live];
            left[chosen] = left[live];
        }
    }
    return sum;
}

static uint64_t only_frees(uint64_t operations) {
    static struct producer producers[producer_count];
    // Each producer makes the same number of batches, and all together a multiple of what is mixed.
    uint64_t each = operations / (producer_count * batch_count * batches_mixed) + 1;
    struct batch *batches = table_make(batches_in_flight, sizeof *batches);
    size_table_fill(&sizes, 16, 1024);
    for (int i = 0; i < batches_in_flight; i++)
        put(&empty, &batches[i]);

    timed_part_begin();
    for (int i = 0; i < producer_count; i++) {
        producers[i].random_state = 0x801f2e2858efc16 + (uint64_t)i;
        producers[i].batches = each * batches_mixed;
        if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
            fail("cannot create a thread", NULL, (size_t)i);
    }
    uint64_t state = 0x636920d871574e69, sum = 0;
    for (uint64_t i = 0; i < each * producer_count; i++) {
        struct batch *taken = get(&full, batches_mixed);
        sum += free_mixed(taken, &state);
        while (taken != NULL) {
            struct batch *next = taken->next;
            put(&empty, taken);
            taken = next;
        }
    }
    for (int i = 0; i < producer_count; i++) {
        pthread_join(producers[i].thread, NULL);
        sum -= producers[i].sum;
    }
    timed_part_end();
    if (sum != 0)
        fail("contents changed on their way to the thread that frees", NULL, 0);
    return each * batches_mixed * producer_count * batch_count;
}

const struct workload free_workloads[] = {
    {"only-frees", "three threads allocate blocks of 16 bytes to 1 KiB, a fourth frees them all, in random order",
     8000000, false, only_frees},
    {0},
};
