/* Memory that runs out: under RLIMIT_AS malloc gives blocks until it gives NULL and ENOMEM, a block whose realloc
   fails is as it was, a thread can start with nothing left, and when all is freed everything works again, for another
   size as well. */
#include "conformance.h"
#include <sys/resource.h>

enum { budget = 192 };

struct link {
    struct link *next;
};

static pthread_barrier_t exhausted, freed;

/* Meets the exhausted heap with its first call, and the recovered one with its second. */
static void *latecomer(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&exhausted);
    errno = 0;
    char *block = malloc(300 * KiB);
    CHECK(block != NULL || errno == ENOMEM, "a thread's malloc failed with errno %d", errno);
    if (block != NULL) memset(block, 1, 300 * KiB);
    char *small = malloc(100);
    CHECK(small != NULL || errno == ENOMEM, "a thread's small malloc failed with errno %d", errno);
    if (small != NULL) memset(small, 1, 100);
    free(block);
    free(small);
    pthread_barrier_wait(&freed);
    block = malloc(100);
    CHECK(block != NULL, "a thread that began without memory gets none later");
    free(block);
    return NULL;
}

static struct link *take_all(size_t size, size_t *taken)
{
    struct link *first = NULL, *block;
    *taken = 0;
    errno = 0;
    while ((block = malloc(size)) != NULL) {
        if (size < MiB) memset(block, 0x5a, size);
        block->next = first;
        first = block;
        ++*taken;
    }
    CHECK(errno == ENOMEM, "malloc(%zu) without memory left errno %d", size, errno);
    return first;
}

static void give_back(struct link *first)
{
    while (first != NULL) {
        struct link *next = first->next;
        free(first);
        first = next;
    }
}

/* Everything there is in blocks of `size`; returns how many there were. */
static size_t run_out(size_t size)
{
    static const size_t kept_sizes[] = {24, 1000, 20000, 200000, 2 * MiB};
    char *kept[5];
    pthread_t thread;
    size_t taken;
    for (size_t i = 0; i < 5; i++) fill(kept[i] = malloc(kept_sizes[i]), kept_sizes[i], size + i);
    pthread_create(&thread, NULL, latecomer, NULL);

    struct link *first = take_all(size, &taken);
    for (size_t i = 0; i < 5; i++) {
        errno = 0;
        char *grown = realloc(kept[i], budget * MiB);
        CHECK(grown == NULL && errno == ENOMEM, "realloc of %zu bytes without memory gave %p, errno %d",
              kept_sizes[i], (void *)grown, errno);
        if (grown != NULL) kept[i] = grown;
        CHECK(is_filled(kept[i], kept_sizes[i], size + i), "a failing realloc spoilt %zu bytes", kept_sizes[i]);
        errno = 0;
        grown = calloc(budget, MiB);
        CHECK(grown == NULL && errno == ENOMEM, "calloc without memory gave %p, errno %d", (void *)grown, errno);
        void *block = NULL;
        CHECK(posix_memalign(&block, 64 * MiB, budget * MiB) == ENOMEM, "posix_memalign without memory succeeded");
    }
    pthread_barrier_wait(&exhausted);
    give_back(first);
    pthread_barrier_wait(&freed);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < 5; i++) {
        CHECK(is_filled(kept[i], kept_sizes[i], size + i), "a block of %zu bytes was spoilt", kept_sizes[i]);
        free(kept[i]);
    }
    return taken;
}

int main(void)
{
    static const size_t sizes[] = {100, 16 * MiB, 1000, 40000, 300000, 24, MiB, 3000};
    setvbuf(stdout, NULL, _IONBF, 0);
    pthread_barrier_init(&exhausted, NULL, 2);
    pthread_barrier_init(&freed, NULL, 2);
    free(malloc(100));
    size_t mapped = (size_t)status_kilobytes("VmSize") * KiB;
    struct rlimit limit = {mapped + budget * MiB, RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return 2;

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t taken = run_out(sizes[i]);
            CHECK(taken * sizes[i] >= budget * MiB / 2, "round %d: memory ended after %zu MiB in blocks of %zu bytes",
                  round, taken * sizes[i] / MiB, sizes[i]);
            malloc_trim(0);
            void *big = malloc(budget * MiB / 2);
            CHECK(big != NULL, "round %d: after blocks of %zu bytes were freed, %d MiB cannot be had", round, sizes[i],
                  budget / 2);
            free(big);
        }
    return finish();
}
