// What a process holds after a burst is over: the workloads of `--memory`. Nothing here is about time, but for how long
// a load takes the first time and again.
//
// Each prints what is resident and what the least would be: the OS pages that a live block touches, and what the program
// has besides (its baseline, this program's tables).

#include "memory.h"

#include "blocks.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { os_page = 4096, burst_blocks = 1600000 };

struct block {
    char *start;
    uint32_t size;
};

static uint64_t random_state = 88172645463325252u;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void pause_milliseconds(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void allocate(struct block *block, uint32_t size) {
    block->size = size;
    block->start = malloc(size);
    if (block->start == NULL)
        fail("no memory", NULL, size);
    memset(block->start, 1, size);
}

static int by_address(const void *left, const void *right) {
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return a < b ? -1 : a > b;
}

// The bytes of OS pages that live blocks touch. The table is sorted in place, straight from the OS.
static uint64_t touched_bytes(const struct block *blocks, size_t count) {
    uintptr_t *pages = table_make(count * 2, sizeof *pages);
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].start == NULL)
            continue;
        pages[length++] = (uintptr_t)blocks[i].start / os_page;
        pages[length++] = ((uintptr_t)blocks[i].start + blocks[i].size - 1) / os_page;
    }
    // qsort may allocate: the blocks are a few thousand by now, or the table would have to be huge.
    qsort(pages, length, sizeof *pages, by_address);
    uint64_t distinct = 0;
    for (size_t i = 0; i < length; i++)
        distinct += i == 0 || pages[i] != pages[i - 1];
    table_drop(pages, count * 2, sizeof *pages);
    return distinct * os_page;
}

// What a program does that has little to do: some small blocks every few milliseconds.
static void make_few_calls(uint64_t *random) {
    struct block few[20];
    for (int i = 0; i < 20; i++)
        allocate(&few[i], 16 + random_below(random, 480));
    for (int i = 0; i < 20; i++)
        free(few[i].start);
    pause_milliseconds(5);
}

static void idle_along(double seconds) {
    double end = now() + seconds;
    while (now() < end)
        make_few_calls(&random_state);
}

static double fill(struct block *blocks) {
    double start = now();
    for (size_t i = 0; i < burst_blocks; i++)
        if (blocks[i].start == NULL)
            allocate(&blocks[i], 16 + random_below(&random_state, 480));
    return now() - start;
}

static void free_all_but(struct block *blocks, unsigned one_in) {
    for (size_t i = 0; i < burst_blocks; i++) {
        if (random_below(&random_state, one_in) == 0)
            continue;
        free(blocks[i].start);
        blocks[i].start = NULL;
    }
}

static struct memory_result survivors(unsigned one_in) {
    struct block *blocks = table_make(burst_blocks, sizeof *blocks);
    uint64_t besides = resident_bytes();
    struct memory_result result = {0};
    result.first_seconds = fill(blocks);
    result.full_bytes = resident_bytes();
    free_all_but(blocks, one_in);
    idle_along(3);
    result.resident_bytes = resident_bytes();
    result.least_bytes = touched_bytes(blocks, burst_blocks) + besides;
    result.again_seconds = fill(blocks);
    return result;
}

static struct memory_result survivors_200(void) { return survivors(200); }
static struct memory_result survivors_20(void) { return survivors(20); }

// Threads allocate and, from then on, make a few calls now and then; another, which allocates nothing, frees what they
// allocated, from each in turn, as from three queues.

enum { producer_count = 3, produced_blocks = burst_blocks / producer_count };

struct producer {
    pthread_t thread;
    struct block *blocks;
    uint64_t random;
};

static pthread_barrier_t produced;
static atomic_bool is_over;

static void *produce(void *argument) {
    struct producer *self = argument;
    for (size_t i = 0; i < produced_blocks; i++)
        allocate(&self->blocks[i], 16 + random_below(&self->random, 480));
    pthread_barrier_wait(&produced);
    while (!atomic_load(&is_over))
        make_few_calls(&self->random);
    return NULL;
}

static struct memory_result thread_that_frees(void) {
    size_t count = (size_t)producer_count * produced_blocks;
    struct block *blocks = table_make(count, sizeof *blocks);
    struct producer producers[producer_count];
    struct memory_result result = {0};
    uint64_t besides = resident_bytes();
    pthread_barrier_init(&produced, NULL, producer_count + 1);
    for (size_t i = 0; i < producer_count; i++) {
        producers[i].blocks = &blocks[i * produced_blocks];
        producers[i].random = random_next(&random_state);
        if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
            fail("no thread", NULL, i);
    }
    pthread_barrier_wait(&produced);
    result.full_bytes = resident_bytes();
    for (size_t i = 0; i < produced_blocks; i++) {
        for (size_t j = 0; j < producer_count; j++) {
            if (random_below(&random_state, 200) == 0)
                continue;
            free(producers[j].blocks[i].start);
            producers[j].blocks[i].start = NULL;
        }
    }
    pause_milliseconds(3000);
    result.resident_bytes = resident_bytes();
    result.least_bytes = touched_bytes(blocks, count) + besides;
    atomic_store(&is_over, true);
    for (size_t i = 0; i < producer_count; i++)
        pthread_join(producers[i].thread, NULL);
    return result;
}

// A thread frees its burst and sleeps; another calls malloc_trim.

enum { sleeper_blocks = 200000 };

static pthread_barrier_t sleeping, done;

static void *hold_nothing(void *argument) {
    (void)argument;
    pthread_barrier_wait(&sleeping);
    pthread_barrier_wait(&done);
    return NULL;
}

static void *hold_ten_blocks(void *argument) {
    struct block *blocks = argument;
    for (unsigned i = 0; i < 10; i++)
        allocate(&blocks[i], 20 + 70 * i);
    return hold_nothing(argument);
}

static void *burst_and_sleep(void *argument) {
    struct block *blocks = argument;
    for (size_t i = 0; i < sleeper_blocks; i++)
        allocate(&blocks[i], 16 + random_below(&random_state, 480));
    for (size_t i = 0; i < sleeper_blocks; i++) {
        if (i % 200 == 0)
            continue;
        free(blocks[i].start);
        blocks[i].start = NULL;
    }
    pthread_barrier_wait(&sleeping);
    pthread_barrier_wait(&done);
    return NULL;
}

static void trim_now(void) { malloc_trim(0); }
static void wait_a_second(void) { pause_milliseconds(999); }

static struct memory_result while_it_sleeps(void (*act)(void)) {
    struct block *blocks = table_make(sleeper_blocks, sizeof *blocks);
    struct memory_result result = {0};
    uint64_t besides = resident_bytes();
    pthread_t thread;
    pthread_barrier_init(&sleeping, NULL, 2);
    pthread_barrier_init(&done, NULL, 2);
    if (pthread_create(&thread, NULL, burst_and_sleep, blocks) != 0)
        fail("no thread", NULL, 0);
    pthread_barrier_wait(&sleeping);
    result.full_bytes = resident_bytes();
    act();
    result.resident_bytes = resident_bytes();
    result.least_bytes = touched_bytes(blocks, sleeper_blocks) + besides;
    pthread_barrier_wait(&done);
    pthread_join(thread, NULL);
    return result;
}

static struct memory_result trim_of_a_sleeper(void) { return while_it_sleeps(trim_now); }

// A thread frees its burst, and from then on nobody calls malloc or free.
static struct memory_result stopped(void) { return while_it_sleeps(wait_a_second); }

// Threads that hold a few small blocks each.

enum { thread_count = 10000 };

static void *hold_one_block(void *argument) {
    struct block *block = argument;
    allocate(block, 100);
    pthread_barrier_wait(&sleeping);
    pthread_barrier_wait(&done);
    return NULL;
}

static uint64_t with_threads(int count, void *(*body)(void *), struct block *blocks, size_t blocks_each) {
    static pthread_t threads[thread_count];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&sleeping, NULL, (unsigned)count + 1);
    pthread_barrier_init(&done, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], &attributes, body, &blocks[(size_t)i * blocks_each]) != 0)
            fail("no thread", NULL, (size_t)i);
    pthread_barrier_wait(&sleeping);
    uint64_t resident = resident_bytes();
    pthread_barrier_wait(&done);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return resident;
}

static struct memory_result ten_thousand_threads(void) {
    struct block *blocks = table_make(thread_count, sizeof *blocks);
    struct memory_result result = {0};
    result.least_bytes = with_threads(thread_count, hold_nothing, blocks, 1);
    result.resident_bytes = with_threads(thread_count, hold_one_block, blocks, 1);
    result.full_bytes = result.resident_bytes;
    return result;
}

// As many threads as get heaps of their own at their first block.
static struct memory_result ten_blocks_each(void) {
    enum { few_threads = 100 };
    struct block *blocks = table_make(few_threads * 10, sizeof *blocks);
    struct memory_result result = {0};
    result.least_bytes = with_threads(few_threads, hold_nothing, blocks, 10);
    result.resident_bytes = with_threads(few_threads, hold_ten_blocks, blocks, 10);
    result.full_bytes = result.resident_bytes;
    return result;
}

const struct memory_workload memory_workloads[] = {
    {"survivors-200", "1.6 million blocks of 16-495 bytes, 1 in 200 lives on", survivors_200},
    {"survivors-20", "the same, 1 in 20 lives on", survivors_20},
    {"thread-that-frees", "three threads allocate the same, another frees it: 1 in 200 lives on", thread_that_frees},
    {"trim-of-a-sleeper", "malloc_trim while the thread that freed sleeps", trim_of_a_sleeper},
    {"stopped", "a thread frees its burst, and nobody calls malloc or free for a second", stopped},
    {"ten-blocks", "100 threads with ten blocks of ten sizes each; the least: without", ten_blocks_each},
    {"ten-thousand-threads", "10,000 threads with a block of 100 bytes each; the least: without", ten_thousand_threads},
    {NULL, NULL, NULL},
};
