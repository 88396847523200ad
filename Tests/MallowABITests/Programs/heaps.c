/* First-class heaps through the header: what each function promises, alone, among threads, across fork, and what misuse
   of them ends the program. */
#include "conformance.h"
#include <mallow.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { threads = 4, sizes = 9 };
static const size_t size_of[sizes] = {1, 8, 24, 100, 1000, 5000, 40000, 1 << 20, 20 << 20};

static struct mallow_heap_statistics figures(mallow_heap *heap)
{
    struct mallow_heap_statistics result;
    mallow_heap_statistics(heap, &result);
    return result;
}

/* Every function, for every kind of block. */
static void each_function(void)
{
    mallow_heap *heap = mallow_heap_new(), *other = mallow_heap_new();
    CHECK(heap != NULL && other != NULL && heap != other, "no two heaps");
    for (int i = 0; i < sizes; i++) {
        size_t size = size_of[i];
        char *block = mallow_heap_malloc(heap, size), *zeros = mallow_heap_calloc(heap, 1, size);
        char *aligned = mallow_heap_aligned(heap, 4096, size), *plain = mallow_malloc(size);
        CHECK(block && zeros && aligned && plain, "no memory for %zu bytes", size);
        CHECK(is_aligned(block, promised_alignment(size)) && is_aligned(aligned, 4096), "%zu bytes lie wrong", size);
        CHECK(is_zero(zeros, size), "calloc of %zu bytes is not zero", size);
        CHECK(mallow_usable_size(block) >= size, "%zu bytes hold less", size);
        CHECK(mallow_heap_of(block) == heap && mallow_heap_of(zeros) == heap && mallow_heap_of(aligned) == heap,
              "%zu bytes are of another heap", size);
        CHECK(mallow_heap_of(plain) == NULL, "mallow_malloc of %zu bytes is of a heap", size);
        CHECK(mallow_heap_owns(heap, block) == 1 && mallow_heap_owns(other, block) == 0
                  && mallow_heap_owns(NULL, block) == 0 && mallow_heap_owns(NULL, plain) == 1
                  && mallow_heap_owns(heap, plain) == 0, "owns is wrong for %zu bytes", size);
        fill(block, size, size);
        char *grown = mallow_heap_realloc(heap, block, 3 * size + 100);
        CHECK(grown && is_filled(grown, size, size) && mallow_heap_of(grown) == heap, "grown from %zu bytes", size);
        fill(grown, size, size);
        char *again = mallow_realloc(grown, 9 * size + 100);
        CHECK(again && is_filled(again, size, size) && mallow_heap_of(again) == heap,
              "mallow_realloc takes %zu bytes out of its heap", size);
        char *moved = mallow_heap_realloc(other, again, size);
        CHECK(moved && is_filled(moved, size, size) && mallow_heap_of(moved) == other, "not moved to the other heap");
        plain = mallow_heap_realloc(heap, plain, size + 1);
        CHECK(mallow_heap_of(plain) == heap, "a block of malloc's was not moved to the heap");
        mallow_heap_free(heap, zeros);
        mallow_free(aligned);
        mallow_free(plain);
        CHECK(figures(heap).live_blocks == 0 && figures(other).live_blocks == 1, "%llu and %llu blocks live",
              (unsigned long long)figures(heap).live_blocks, (unsigned long long)figures(other).live_blocks);
        mallow_heap_free(other, moved);
    }
    int local;
    CHECK(mallow_heap_of(&local) == NULL && mallow_heap_owns(NULL, &local) == 0 && mallow_heap_of(NULL) == NULL
              && mallow_heap_of((void *)-1) == NULL && mallow_heap_of(mallow_heap_of) == NULL,
          "an address of no block has a heap");
    errno = 0;
    CHECK(mallow_heap_malloc(heap, (size_t)-1) == NULL && errno == ENOMEM, "all memory is to be had");
    CHECK(mallow_heap_calloc(heap, (size_t)1 << 40, (size_t)1 << 40) == NULL, "a product that overflows");
    CHECK(mallow_heap_aligned(heap, 24, 8) == NULL && errno == EINVAL, "an alignment of 24");
    mallow_heap_destroy(heap);
    mallow_heap_delete(other);
    mallow_heap_destroy(NULL);
    mallow_heap_delete(NULL);
    void *block = mallow_heap_malloc(NULL, 100);
    CHECK(mallow_heap_of(block) == NULL, "NULL is not the default heap");
    mallow_heap_free(NULL, mallow_heap_realloc(NULL, block, 200));
}

/* Destroying frees all; deleting leaves all; the memory goes back; a heap made later has nothing of one before. */
static void ends(void)
{
    struct mallow_statistics before, full, after;
    mallow_statistics(&before);
    for (int round = 0; round < 3; round++) {
        mallow_heap *heap = mallow_heap_new();
        CHECK(figures(heap).live_blocks == 0, "a new heap has blocks");
        for (int i = 0; i < 30000; i++) memset(mallow_heap_malloc(heap, 16 + i % 500), 1, 16);
        for (int i = 0; i < 20; i++) mallow_heap_malloc(heap, 100000);
        mallow_heap_malloc(heap, 30 << 20);
        mallow_statistics(&full);
        struct mallow_heap_statistics figure = figures(heap);
        CHECK(figure.live_blocks == 30021 && figure.large_blocks == 21 && figure.pages > 100, "%llu blocks",
              (unsigned long long)figure.live_blocks);
        CHECK(figure.committed_bytes >= figure.live_bytes && figure.live_bytes > figure.large_bytes, "bytes");
        CHECK(full.live_blocks == before.live_blocks + 30021, "the process does not count a heap's blocks");
        mallow_heap_destroy(heap);
        mallow_statistics(&after);
        CHECK(after.live_blocks == before.live_blocks, "%llu blocks are left",
              (unsigned long long)(after.live_blocks - before.live_blocks));
    }
    mallow_trim(0);
    mallow_statistics(&after);
    CHECK(after.committed_bytes <= before.committed_bytes + MiB, "%llu bytes committed after, %llu before",
          (unsigned long long)after.committed_bytes, (unsigned long long)before.committed_bytes);
    mallow_heap *heap = mallow_heap_new();
    char *survivors[sizes];
    for (int i = 0; i < sizes; i++) fill(survivors[i] = mallow_heap_malloc(heap, size_of[i]), size_of[i], i);
    mallow_heap_delete(heap);
    for (int i = 0; i < sizes; i++) {
        CHECK(mallow_heap_of(survivors[i]) == NULL && is_filled(survivors[i], size_of[i], i), "survivor %d", i);
        survivors[i] = mallow_realloc(survivors[i], size_of[i] + 1);
        CHECK(is_filled(survivors[i], size_of[i], i), "survivor %d resized", i);
        mallow_free(survivors[i]);
    }
    mallow_statistics(&after);
    CHECK(after.live_blocks == before.live_blocks, "survivors are left");
}

struct visited {
    mallow_heap *heap;
    size_t count, bytes, stop_at, freed;
};

static int look(void *context, void *block, size_t size)
{
    struct visited *visited = context;
    CHECK(mallow_usable_size(block) == size && mallow_heap_of(block) == visited->heap, "%p is not a block", block);
    mallow_free(mallow_malloc(size % 100000));
    visited->count++;
    visited->bytes += size;
    return visited->count == visited->stop_at ? 42 : 0;
}

static int free_each_other(void *context, void *block, size_t size)
{
    struct visited *visited = context;
    (void)size;
    if (visited->count++ % 2 == 0) return 0;
    if (visited->freed++ % 2 == 0) mallow_free(block);
    else mallow_heap_free(visited->heap, block);
    return 0;
}

static void visits(void)
{
    mallow_heap *heap = mallow_heap_new();
    void *blocks[3000];
    size_t live = 0, bytes = 0;
    for (int i = 0; i < 3000; i++) blocks[i] = mallow_heap_malloc(heap, i % 300 == 0 ? 50000 + i : i);
    for (int i = 0; i < 3000; i++) {
        if (i % 3 == 0) {
            if (i % 2 == 0) mallow_free(blocks[i]);
            else mallow_heap_free(heap, blocks[i]);
        } else {
            live++;
            bytes += mallow_usable_size(blocks[i]);
        }
    }
    struct visited visited = {.heap = heap};
    CHECK(mallow_heap_visit(heap, look, &visited) == 0, "the visit was stopped");
    CHECK(visited.count == live && visited.bytes == bytes, "%zu of %zu blocks visited", visited.count, live);
    visited = (struct visited){.heap = heap, .stop_at = 5};
    CHECK(mallow_heap_visit(heap, look, &visited) == 42 && visited.count == 5, "not stopped at the fifth");
    visited = (struct visited){.heap = heap};
    mallow_heap_visit(heap, free_each_other, &visited);
    CHECK(visited.count == live && figures(heap).live_blocks == live - visited.freed, "visitor that frees");
    CHECK(mallow_heap_visit(NULL, look, &visited) == -1 && errno == EINVAL, "the default heap was visited");
    mallow_heap_destroy(heap);
}

/* Threads allocate from two heaps and free each other's blocks, in both ways; another frees while heaps are deleted. */
static mallow_heap *shared_heap[2];
static _Atomic(char *) handed_on[256];

static void *exchange(void *number)
{
    uint64_t state = (uint64_t)(uintptr_t)number << 40;
    for (int i = 0; i < 40000; i++) {
        size_t size = 16 + next_random(&state) % (i % 50 == 0 ? 100000 : 600);
        mallow_heap *heap = shared_heap[next_random(&state) % 2];
        char *block = mallow_heap_malloc(heap, size);
        if (!CHECK(block != NULL, "no memory")) break;
        memcpy(block, &size, sizeof size);
        block[size - 1] = (char)size;
        char *old = atomic_exchange(&handed_on[next_random(&state) % 256], block);
        if (old == NULL) continue;
        memcpy(&size, old, sizeof size);
        if (old[size - 1] != (char)size) CHECK(0, "a block of %zu bytes was overwritten", size);
        if (i % 3 == 0) mallow_heap_free(mallow_heap_of(old), old);
        else mallow_free(old);
    }
    mallow_thread_idle();
    return NULL;
}

static void among_threads(void)
{
    pthread_t ids[threads];
    for (int i = 0; i < 2; i++) shared_heap[i] = mallow_heap_new();
    for (uintptr_t i = 0; i < threads; i++) pthread_create(&ids[i], NULL, exchange, (void *)(i + 1));
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    size_t left = 0;
    for (int i = 0; i < 256; i++) left += handed_on[i] != NULL;
    CHECK(figures(shared_heap[0]).live_blocks + figures(shared_heap[1]).live_blocks == left, "%zu blocks left", left);
    mallow_heap_destroy(shared_heap[0]);
    mallow_heap_destroy(shared_heap[1]);
}

enum { batch = 400 };
static _Atomic(void *) pending[batch];
static _Atomic int rounds_over;

static void *free_what_comes(void *unused)
{
    while (!rounds_over)
        for (int i = 0; i < batch; i++) mallow_free(atomic_exchange(&pending[i], NULL));
    return unused;
}

static void deleted_while_freed(void)
{
    struct mallow_statistics before, after;
    mallow_statistics(&before);
    pthread_t freer;
    pthread_create(&freer, NULL, free_what_comes, NULL);
    for (int round = 0; round < 300; round++) {
        mallow_heap *heap = mallow_heap_new();
        for (int i = 0; i < batch; i++) {
            void *block = mallow_heap_malloc(heap, i % 100 == 0 ? 40000 : 16 + i);
            mallow_free(atomic_exchange(&pending[i], block));
        }
        mallow_heap_delete(heap);
    }
    rounds_over = 1;
    pthread_join(freer, NULL);
    for (int i = 0; i < batch; i++) mallow_free(atomic_exchange(&pending[i], NULL));
    mallow_statistics(&after);
    CHECK(after.live_blocks <= before.live_blocks + 1, "%llu blocks are left",
          (unsigned long long)(after.live_blocks - before.live_blocks));
}

/* A child has every heap as it was, though threads were in the middle of using them. */
static _Atomic int stop;
static void *churn(void *heap)
{
    void *blocks[64] = {NULL};
    uint64_t state = (uintptr_t)heap;
    while (!stop) {
        int i = (int)(next_random(&state) % 64);
        mallow_heap_free(heap, blocks[i]);
        blocks[i] = mallow_heap_malloc(heap, next_random(&state) % 2000);
    }
    for (int i = 0; i < 64; i++) mallow_free(blocks[i]);
    return NULL;
}

static void survives_forks(void)
{
    mallow_heap *heap = mallow_heap_new();
    pthread_t ids[threads];
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, churn, heap);
    for (int i = 0; i < 60; i++) {
        char *mine = mallow_heap_malloc(heap, 5000);
        fill(mine, 5000, i);
        pid_t process = fork();
        if (process == 0) {
            alarm(20);
            int good = is_filled(mine, 5000, i) && mallow_heap_of(mine) == heap;
            mallow_heap_free(heap, mine);
            for (int j = 0; j < 3000; j++) good &= mallow_heap_malloc(heap, j) != NULL;
            struct visited visited = {.heap = heap};
            mallow_heap_visit(heap, look, &visited);
            good &= visited.count >= 3000;
            mallow_heap_destroy(heap);
            mallow_heap *another = mallow_heap_new();
            good &= mallow_heap_malloc(another, 100) != NULL;
            _exit(!good);
        }
        int status = -1;
        waitpid(process, &status, 0);
        CHECK(status == 0, "child %d ended with wait status 0x%x", i, status);
        mallow_free(mine);
    }
    stop = 1;
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    CHECK(figures(heap).live_blocks == 0, "%llu blocks left", (unsigned long long)figures(heap).live_blocks);
    mallow_heap_destroy(heap);
}

/* Each ends the program by SIGABRT, after one line that says so. */
static int allocate_in_visit(void *context, void *block, size_t size)
{
    (void)block, (void)size;
    mallow_heap_malloc(context, 8);
    return 0;
}

static void misuse(int way, mallow_heap *heap, mallow_heap *other)
{
    char *block = mallow_heap_malloc(heap, 100), *large = mallow_heap_malloc(heap, 100000);
    switch (way) {
    case 0: mallow_heap_free(other, block); break;
    case 1: mallow_heap_free(other, large); break;
    case 2: mallow_heap_free(heap, mallow_malloc(100)); break;
    case 3: mallow_heap_free(heap, block), mallow_heap_free(heap, block); break;
    case 4: mallow_heap_free(heap, block + 16); break;
    case 5: mallow_heap_free(heap, &way); break;
    case 6: mallow_heap_destroy(heap), mallow_heap_malloc(heap, 100); break;
    case 7: mallow_heap_delete(heap), mallow_heap_destroy(heap); break;
    case 8: mallow_heap_visit(heap, allocate_in_visit, heap); break;
    case 9: mallow_heap_destroy(heap), mallow_free(block); break;
    }
}

static void caught(void)
{
    mallow_heap *heap = mallow_heap_new(), *other = mallow_heap_new();
    for (int way = 0; way < 10; way++) {
        int ends[2], status = 0;
        char text[300] = "";
        if (!CHECK(pipe(ends) == 0, "no pipe")) return;
        pid_t process = fork();
        if (process == 0) {
            dup2(ends[1], 2);
            misuse(way, heap, other);
            _exit(0);
        }
        close(ends[1]);
        ssize_t length = read(ends[0], text, sizeof text - 1);
        close(ends[0]);
        waitpid(process, &status, 0);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "misuse %d was not caught", way);
        CHECK(length > 10 && strncmp(text, "mallow: ", 8) == 0 && strchr(text, '\n') == text + length - 1,
              "misuse %d says %s", way, text);
    }
    mallow_heap_destroy(heap);
    mallow_heap_destroy(other);
}

static void idles(void)
{
    struct mallow_statistics full, after;
    enum { count = 60000 };
    static char *blocks[count];
    for (int i = 0; i < count; i++) memset(blocks[i] = mallow_malloc(400), 1, 400);
    for (int i = 0; i < count; i++)
        if (i % 500 != 0) mallow_free(blocks[i]);
    mallow_statistics(&full);
    mallow_thread_idle();
    mallow_statistics(&after);
    CHECK(after.committed_bytes + 20 * MiB < full.committed_bytes, "%llu bytes before an idle thread's, %llu after",
          (unsigned long long)full.committed_bytes, (unsigned long long)after.committed_bytes);
    for (int i = 0; i < count; i += 500) mallow_free(blocks[i]);
}

/* What /proc/self/maps says, where the kernel has names for anonymous memory; nothing where it has none. */
static void names(void)
{
    char *probe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int has_names = prctl(0x53564d41, 0, probe, 4096, "probe") == 0;
    errno = 0;
    char *block = mallow_malloc(20 << 20), line[400];
    CHECK(errno == 0, "errno is %d", errno);
    *block = 1;
    int blocks = 0, large = 0, records = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL) {
        blocks += strstr(line, "[anon:mallow: blocks]") != NULL;
        large += strstr(line, "[anon:mallow: large blocks]") != NULL;
        records += strstr(line, "[anon:mallow: records]") != NULL;
    }
    fclose(maps);
    CHECK(has_names ? blocks > 0 && large > 0 && records > 0 : blocks + large + records == 0,
          "%d, %d and %d mappings have names, of a kernel that %s", blocks, large, records, has_names ? "has" : "has not");
    mallow_free(block);
}

int main(void)
{
    each_function();
    ends();
    visits();
    among_threads();
    deleted_while_freed();
    survives_forks();
    caught();
    idles();
    names();
    return finish();
}
