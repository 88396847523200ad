// One thread allocates, another frees: batches of blocks of 16-512 bytes go through a ring guarded by a mutex. The ring
// is bounded, so that at most `ring_count` batches are in flight.

#include "blocks.h"

#include <pthread.h>

enum { batch_count = 1000, ring_count = 16 };

struct block {
    void *pointer;
    size_t size;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t filled, emptied; // batches so far: filled - emptied of them are in the ring
} ring = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct block *batches; // ring_count rows of batch_count
static uint64_t batches_wanted;
static struct size_table sizes;

static void *produce(void *unused) {
    (void)unused;
    uint64_t state = 0x452821e638d01377;
    for (uint64_t batch = 0; batch < batches_wanted; batch++) {
        pthread_mutex_lock(&ring.mutex);
        while (ring.filled - ring.emptied == ring_count)
            pthread_cond_wait(&ring.changed, &ring.mutex);
        pthread_mutex_unlock(&ring.mutex);

        struct block *blocks = batches + (batch % ring_count) * batch_count;
        for (int i = 0; i < batch_count; i++) {
            blocks[i].size = size_table_draw(&sizes, random_next(&state));
            blocks[i].pointer = block_make(blocks[i].size);
        }

        pthread_mutex_lock(&ring.mutex);
        if (ring.filled++ == ring.emptied)
            pthread_cond_signal(&ring.changed);
        pthread_mutex_unlock(&ring.mutex);
    }
    return NULL;
}

static void *consume(void *unused) {
    (void)unused;
    for (uint64_t batch = 0; batch < batches_wanted; batch++) {
        pthread_mutex_lock(&ring.mutex);
        while (ring.filled == ring.emptied)
            pthread_cond_wait(&ring.changed, &ring.mutex);
        pthread_mutex_unlock(&ring.mutex);

        struct block *blocks = batches + (batch % ring_count) * batch_count;
        for (int i = 0; i < batch_count; i++)
            block_drop(blocks[i].pointer, blocks[i].size);

        pthread_mutex_lock(&ring.mutex);
        if (ring.filled - ring.emptied++ == ring_count)
            pthread_cond_signal(&ring.changed);
        pthread_mutex_unlock(&ring.mutex);
    }
    return NULL;
}

static uint64_t producer_consumer(uint64_t operations) {
    batches_wanted = (operations + batch_count - 1) / batch_count;
    batches = table_make(ring_count * batch_count, sizeof *batches);
    size_table_fill(&sizes, 16, 512);

    pthread_t producer, consumer;
    timed_part_begin();
    if (pthread_create(&producer, NULL, produce, NULL) != 0 || pthread_create(&consumer, NULL, consume, NULL) != 0)
        fail("cannot create a thread", NULL, 0);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    timed_part_end();
    return batches_wanted * batch_count;
}

const struct workload handoff_workloads[] = {
    {"producer-consumer", "one thread allocates blocks of 16-512 bytes, another frees them", 4000000, false,
     producer_consumer},
    {0},
};
