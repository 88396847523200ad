/* The functions of mallow.h, linked with -lmallow: each does what its namesake in the C library does, mallow_statistics
   follows what is allocated and freed, and mallow_trim gives 200 MB of freed small blocks back to the system. */
#include "conformance.h"
#include <mallow.h>
#include <sys/mman.h>

static struct mallow_statistics now(void)
{
    struct mallow_statistics statistics;
    memset(&statistics, 0xee, sizeof statistics);
    mallow_statistics(&statistics);
    return statistics;
}

static void each_name(void)
{
    for (size_t size = 1; size < 3 * MiB; size = size * 4 / 3 + 1) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        void *aligned = NULL;
        int result = mallow_posix_memalign(&aligned, 64, size);
        struct {
            const char *name;
            size_t alignment;
            char *block;
        } blocks[] = {
            {"mallow_malloc", promised_alignment(size), mallow_malloc(size)},
            {"mallow_calloc", promised_alignment(size), mallow_calloc(size, 1)},
            {"mallow_realloc", promised_alignment(size), mallow_realloc(NULL, size)},
            {"mallow_reallocarray", promised_alignment(size), mallow_reallocarray(NULL, 1, size)},
            {"mallow_posix_memalign", 64, result == 0 ? aligned : NULL},
            {"mallow_aligned_alloc", 256, mallow_aligned_alloc(256, size)},
            {"mallow_memalign", 32768, mallow_memalign(32768, size)},
            {"mallow_valloc", page, mallow_valloc(size)},
            {"mallow_pvalloc", page, mallow_pvalloc(size)},
        };
        enum { count = sizeof blocks / sizeof *blocks };
        CHECK(is_zero(blocks[1].block, size), "mallow_calloc of %zu bytes is not zero", size);
        for (size_t i = 0; i < count; i++) {
            CHECK(blocks[i].block != NULL && is_aligned(blocks[i].block, blocks[i].alignment), "%s(%zu) gave %p",
                  blocks[i].name, size, (void *)blocks[i].block);
            CHECK(mallow_usable_size(blocks[i].block) >= size, "%s(%zu): usable size", blocks[i].name, size);
            fill(blocks[i].block, size, i);
        }
        CHECK(mallow_usable_size(blocks[0].block) == mallow_good_size(size), "mallow_good_size(%zu) is %zu, not %zu",
              size, mallow_good_size(size), mallow_usable_size(blocks[0].block));
        blocks[2].block = mallow_realloc(blocks[2].block, size * 2);
        for (size_t i = 0; i < count; i++)
            CHECK(is_filled(blocks[i].block, size, i), "a block of %s(%zu) was overwritten", blocks[i].name, size);
        mallow_free_sized(blocks[0].block, size);
        mallow_free_aligned_sized(blocks[5].block, 256, size);
        for (size_t i = 1; i < count; i++)
            if (i != 5) mallow_free(blocks[i].block);
    }
}

static void refusals(void)
{
    volatile size_t huge = SIZE_MAX / 2 + 2;
    void *untouched = &untouched, *block = untouched;
    errno = 0;
    CHECK(mallow_malloc(huge) == NULL && errno == ENOMEM, "mallow_malloc of %zu bytes", huge);
    errno = 0;
    CHECK(mallow_calloc(huge, 2) == NULL && errno == ENOMEM, "mallow_calloc that overflows");
    errno = 0;
    CHECK(mallow_reallocarray(NULL, huge, 2) == NULL && errno == ENOMEM, "mallow_reallocarray that overflows");
    CHECK(mallow_posix_memalign(&block, 24, 8) == EINVAL && block == untouched, "mallow_posix_memalign, alignment 24");
    CHECK(mallow_usable_size(NULL) == 0, "mallow_usable_size(NULL)");
    mallow_free(NULL);
    mallow_free_sized(NULL, 10);
    void *first = mallow_malloc(0), *second = mallow_malloc(0);
    CHECK(first != NULL && second != NULL && first != second, "mallow_malloc(0) twice: %p, %p", first, second);
    mallow_free(first);
    mallow_free(second);
}

static void follows(void)
{
    enum { count = 5000 };
    static void *blocks[count];
    struct mallow_statistics before = now();
    for (int i = 0; i < count; i++) blocks[i] = mallow_malloc(100);
    struct mallow_statistics full = now();
    for (int i = 0; i < count - 1000; i++) mallow_free(blocks[i]);
    struct mallow_statistics part = now();
    for (int i = count - 1000; i < count; i++) mallow_free(blocks[i]);
    struct mallow_statistics after = now();
    CHECK(full.live_blocks == before.live_blocks + count, "%lld blocks more, not %d",
          (long long)(full.live_blocks - before.live_blocks), count);
    CHECK(full.live_bytes == before.live_bytes + count * 112, "%lld bytes more, not %d",
          (long long)(full.live_bytes - before.live_bytes), count * 112);
    CHECK(part.live_blocks == before.live_blocks + 1000, "%lld blocks more, not 1000",
          (long long)(part.live_blocks - before.live_blocks));
    CHECK(part.live_bytes == before.live_bytes + 112000, "%lld bytes more, not 112000",
          (long long)(part.live_bytes - before.live_bytes));
    CHECK(after.live_blocks == before.live_blocks, "%lld blocks more, not none",
          (long long)(after.live_blocks - before.live_blocks));
    CHECK(after.live_bytes == before.live_bytes, "%lld bytes more, not none",
          (long long)(after.live_bytes - before.live_bytes));

    void *big = mallow_malloc(10 * MiB);
    struct mallow_statistics with_big = now();
    CHECK(with_big.live_blocks == after.live_blocks + 1, "a block of 10 MiB is not counted");
    CHECK(with_big.live_bytes == after.live_bytes + mallow_usable_size(big), "10 MiB are counted as %lld bytes",
          (long long)(with_big.live_bytes - after.live_bytes));
    CHECK(with_big.mapped_bytes >= with_big.committed_bytes && with_big.committed_bytes >= with_big.live_bytes,
          "mapped >= committed >= live does not hold");
    CHECK(with_big.peak_committed_bytes >= with_big.committed_bytes, "the peak is below the present");
    mallow_free(big);
    CHECK(now().live_bytes == after.live_bytes, "a freed block of 10 MiB is still counted");
}

static pthread_barrier_t both, leave;

static void *stay(void *unused)
{
    void *block = mallow_malloc(100);
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&leave);
    mallow_free(block);
    return unused;
}

static void counts_threads(void)
{
    pthread_t ids[5];
    pthread_barrier_init(&both, NULL, 6);
    pthread_barrier_init(&leave, NULL, 6);
    uint64_t before = now().threads;
    CHECK(before >= 1 && before < 10, "%llu threads", (unsigned long long)before);
    for (int i = 0; i < 5; i++) pthread_create(&ids[i], NULL, stay, NULL);
    pthread_barrier_wait(&both);
    CHECK(now().threads == before + 5, "%llu threads, not %llu", (unsigned long long)now().threads,
          (unsigned long long)before + 5);
    pthread_barrier_wait(&leave);
    for (int i = 0; i < 5; i++) pthread_join(ids[i], NULL);
    CHECK(now().threads == before, "%llu threads after five ended", (unsigned long long)now().threads);
}

static void gives_back(void)
{
    enum { count = 2000000, size = 100 };
    void **blocks = mmap(NULL, count * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < count; i++) memset(blocks[i] = mallow_malloc(size), 1, size);
    struct mallow_statistics full = now();
    CHECK(full.committed_bytes >= (uint64_t)count * 112, "%llu bytes committed", (unsigned long long)full.committed_bytes);
    for (int i = 0; i < count; i++) mallow_free(blocks[i]);
    munmap(blocks, count * sizeof *blocks);
    CHECK(mallow_trim(0) == 1, "mallow_trim gave nothing back");
    struct mallow_statistics trimmed = now();
    long resident = status_kilobytes("VmRSS");
    CHECK(trimmed.committed_bytes < 16 * MiB, "%llu bytes committed after mallow_trim",
          (unsigned long long)trimmed.committed_bytes);
    CHECK(resident < 32 * 1024, "%ld KiB resident after mallow_trim", resident);
    CHECK(trimmed.purged_bytes >= full.purged_bytes, "purged_bytes fell");
    CHECK(trimmed.peak_committed_bytes >= full.committed_bytes, "the peak fell from %llu to %llu bytes",
          (unsigned long long)full.committed_bytes, (unsigned long long)trimmed.peak_committed_bytes);
    CHECK(trimmed.live_blocks + count == full.live_blocks, "live_blocks is wrong after mallow_trim");
}

int main(void)
{
    each_name();
    refusals();
    follows();
    counts_threads();
    gives_back();
    return finish();
}
