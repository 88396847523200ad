/* A program that runs for long: threads that fill and free, sizes that change over time, blocks that pass from thread to
   thread, threads that come and go. Its memory must stay bounded: at each peak by what it holds, and in each quiet
   moment after by the OS pages that its blocks touch, in the last minute as in the first.

   usage: soak SECONDS

   A cycle: each worker fills up to its share, replaces blocks at random, frees all but one in fifty and half of what
   earlier cycles left, then makes a small call now and then. A line a minute; the exit status is 1 if a bound was passed
   or a block lost its contents.

   MALLOW_LIMIT, if it is set, must be too little for it: blocks are refused then, and it goes on with those it has. */
#include "conformance.h"
#include <sys/mman.h>
#include <time.h>

enum { WORKERS = 4, SLOTS = 1 << 19, EXCHANGED = 4096, REPLACEMENTS = 150000, KEPT = 50 };
#define SHARE (40 * MiB)

enum phase { FILL, REPLACE, EMPTY, QUIET, END };

struct slot {
    char *block;
    size_t size;
};

struct worker {
    struct slot *slots;
    size_t used, bytes;
    uint64_t random;
    unsigned long calls;
};

static struct worker workers[WORKERS];
static _Atomic(uint64_t *) exchanged[EXCHANGED];
static pthread_barrier_t beginning, end;
static enum phase phase;
static unsigned cycle;
static _Atomic int isQuiet;
static int isLimited;
static _Atomic unsigned long refused;

/* In small programs most blocks are small; here the common size moves on with each cycle, from 16 bytes to 128 KiB. */
static size_t next_size(uint64_t *random)
{
    uint64_t draw = next_random(random);
    size_t common = (size_t)16 << (cycle * 5 % 14);
    switch (draw % 20) {
    case 0: return 1 + (draw >> 8) % (200 * KiB);
    case 1: case 2: case 3: case 4: return 1 + (draw >> 8) % 300;
    default: return 1 + common / 2 + (draw >> 8) % common;
    }
}

static void mark(char *block, size_t size)
{
    block[0] = block[size - 1] = (char)size;
}

static void check(const char *block, size_t size)
{
    CHECK(block[0] == (char)size && block[size - 1] == (char)size, "a block of %zu bytes was overwritten", size);
}

static char *grown(size_t size)
{
    char *half = malloc(size / 2 + 1), *whole = realloc(half, size);
    if (whole == NULL) free(half);
    return whole;
}

/* False if there is no more memory. */
static int add(struct worker *worker)
{
    size_t size = next_size(&worker->random);
    char *block = NULL;
    worker->calls++;
    switch (next_random(&worker->random) % 10) {
    case 0: block = calloc(1, size); break;
    case 1: if (posix_memalign((void **)&block, 64, size) != 0) block = NULL; break;
    case 2: block = grown(size); break;
    default: block = malloc(size);
    }
    if (block == NULL) {
        CHECK(isLimited, "%zu bytes were refused", size);
        refused++;
        return 0;
    }
    /* All of it is written to, as a program would: what is resident is then what is held. */
    memset(block, 1, size);
    mark(block, size);
    worker->slots[worker->used++] = (struct slot){block, size};
    worker->bytes += size;
    return 1;
}

static void drop(struct worker *worker, size_t index)
{
    struct slot slot = worker->slots[index];
    check(slot.block, slot.size);
    worker->slots[index] = worker->slots[--worker->used];
    worker->bytes -= slot.size;
    worker->calls++;
    free(slot.block);
}

/* A block for whoever comes by next, and one from who was here before. Its first word is its size. */
static void exchange(uint64_t *random)
{
    size_t size = sizeof(uint64_t) + next_size(random);
    uint64_t *block = malloc(size);
    if (block != NULL) block[0] = size;
    uint64_t *other = atomic_exchange(&exchanged[next_random(random) % EXCHANGED], block);
    if (other == NULL) return;
    CHECK(other[0] >= sizeof(uint64_t) && other[0] <= 400 * KiB, "an exchanged block was overwritten");
    free(other);
}

static void fill_up(struct worker *worker)
{
    while (worker->bytes < SHARE && worker->used < SLOTS && add(worker)) continue;
}

static void replace(struct worker *worker)
{
    for (int i = 0; i < REPLACEMENTS && worker->used > 0; i++) {
        drop(worker, next_random(&worker->random) % worker->used);
        fill_up(worker);
        if (i % 16 == 0) exchange(&worker->random);
    }
}

/* Those that an earlier cycle kept lie first, and half of them go. */
static void empty(struct worker *worker)
{
    for (size_t i = worker->used; i > 0; i--)
        if (next_random(&worker->random) % KEPT != 0) drop(worker, i - 1);
    if (worker->used > SLOTS / 8)
        for (size_t i = worker->used; i > 0; i--)
            if (i % 2 == 0) drop(worker, i - 1);
}

/* A program that waits for something, and calls malloc now and then. */
static void be_quiet(void)
{
    while (isQuiet) {
        for (size_t size = 16; size <= 4096; size *= 2) free(malloc(size));
        usleep(5000);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (;;) {
        pthread_barrier_wait(&beginning);
        switch (phase) {
        case FILL: fill_up(worker); break;
        case REPLACE: replace(worker); break;
        case EMPTY: empty(worker); break;
        case QUIET: be_quiet(); break;
        case END: return NULL;
        }
        pthread_barrier_wait(&end);
    }
}

static void *come_and_go(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed;
    for (int i = 0; i < 500; i++) exchange(&random);
    return NULL;
}

static void run(enum phase next)
{
    phase = next;
    pthread_barrier_wait(&beginning);
    if (next == REPLACE) {
        for (int i = 0; i < 8; i++) {
            pthread_t thread;
            int failure = pthread_create(&thread, NULL, come_and_go, (void *)(uintptr_t)(cycle * 8 + 1));
            if (failure != 0) {
                CHECK(isLimited, "no thread: %d", failure);
                break;
            }
            pthread_join(thread, NULL);
        }
    }
    if (next != END) pthread_barrier_wait(&end);
}

/* MARK: - What is resident, and what should be */

static size_t resident(void)
{
    char text[4096];
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;
    if (file == NULL || fgets(text, sizeof text, file) == NULL || sscanf(text, "%*s %zu", &pages) != 1) abort();
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int by_value(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return (a > b) - (a < b);
}

/* The bytes of OS pages that a live block touches. The numbers of the pages are not in the heap. */
static size_t touched(void)
{
    size_t osPage = (size_t)sysconf(_SC_PAGESIZE), count = 0, most = 0, unique = 0;
    for (int i = 0; i < WORKERS; i++) most += workers[i].used + workers[i].bytes / osPage + workers[i].used;
    most += EXCHANGED * (2 + 400 * KiB / osPage);
    uintptr_t *pages = mmap(NULL, most * sizeof *pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) abort();
    for (int i = 0; i < WORKERS; i++)
        for (size_t slot = 0; slot < workers[i].used; slot++) {
            uintptr_t first = (uintptr_t)workers[i].slots[slot].block;
            for (uintptr_t page = first / osPage; page <= (first + workers[i].slots[slot].size - 1) / osPage; page++)
                pages[count++] = page;
        }
    for (int i = 0; i < EXCHANGED; i++) {
        uintptr_t first = (uintptr_t)exchanged[i];
        if (first == 0) continue;
        for (uintptr_t page = first / osPage; page <= (first + exchanged[i][0] - 1) / osPage; page++)
            pages[count++] = page;
    }
    qsort(pages, count, sizeof *pages, by_value);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || pages[i] != pages[i - 1]) unique++;
    munmap(pages, most * sizeof *pages);
    return unique * osPage;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t held(void)
{
    size_t bytes = 0;
    for (int i = 0; i < WORKERS; i++) bytes += workers[i].bytes;
    for (int i = 0; i < EXCHANGED; i++)
        if (exchanged[i] != NULL) bytes += exchanged[i][0];
    return bytes;
}

int main(int count, char **arguments)
{
    isLimited = getenv("MALLOW_LIMIT") != NULL;
    double length = count > 1 ? atof(arguments[1]) : 1200, start = seconds(), nextLine = start + 60;
    pthread_t threads[WORKERS];
    pthread_barrier_init(&beginning, NULL, WORKERS + 1);
    pthread_barrier_init(&end, NULL, WORKERS + 1);
    for (int i = 0; i < WORKERS; i++) {
        size_t bytes = SLOTS * sizeof(struct slot);
        workers[i].slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (workers[i].slots == MAP_FAILED) return 2;
        memset(workers[i].slots, 1, bytes);
        workers[i].random = (uint64_t)i + 1;
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    size_t before = resident();
    double worstPeak = 0, worstQuiet = 0;
    while (seconds() < start + length && checks_failed == 0) {
        run(FILL);
        run(REPLACE);
        size_t peak = resident() - before, full = held();
        /* Rounding to classes, and what waits for the purge delay. */
        CHECK(peak <= full + full / 2 + 64 * MiB, "cycle %u: %zu MiB resident for %zu", cycle, peak / MiB, full / MiB);
        if ((double)peak / (double)full > worstPeak) worstPeak = (double)peak / (double)full;
        run(EMPTY);

        isQuiet = 1;
        phase = QUIET;
        pthread_barrier_wait(&beginning);
        size_t least = touched(), now = 0;
        double patience = seconds() + 20;
        /* Half a second is enough on an idle machine. What is due must have gone in the end. */
        do {
            usleep(500000);
            now = resident() - before;
        } while (now > least + least / 4 + 16 * MiB && seconds() < patience);
        CHECK(now <= least + least / 4 + 16 * MiB, "cycle %u: %zu MiB resident, where blocks touch %zu", cycle,
              now / MiB, least / MiB);
        if ((double)now / (double)least > worstQuiet) worstQuiet = (double)now / (double)least;
        isQuiet = 0;
        pthread_barrier_wait(&end);

        cycle++;
        if (seconds() < nextLine && seconds() < start + length) continue;
        nextLine += 60;
        unsigned long calls = 0;
        for (int i = 0; i < WORKERS; i++) calls += workers[i].calls;
        printf("%5.0f s: %u cycles, %.1f million calls; full %zu MiB in %zu; quiet %zu in %zu; worst %.2f and %.2f\n",
               seconds() - start, cycle, (double)calls / 1e6, full / MiB, peak / MiB, least / MiB, now / MiB, worstPeak,
               worstQuiet);
        fflush(stdout);
    }
    run(END);
    for (int i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
    CHECK(!isLimited || refused > 0, "the limit refused nothing");
    return finish();
}
