/* Memory that lies idle in a malloc does not stand in the way when address space is short: what was freed as small
   blocks can be had again as one large block, and what was freed as large blocks as small ones. And a block that shrinks
   by much gives its memory back. */
#include "conformance.h"
#include <sys/resource.h>

static void limit_to(size_t more)
{
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = (size_t)status_kilobytes("VmSize") * KiB + more;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "no limit could be set");
}

static void small_then_large(void)
{
    enum { count = 200 * 1024 };
    void **blocks = calloc(count, sizeof *blocks);
    if (!CHECK(blocks != NULL, "no table")) return;
    for (int i = 0; i < count; i++) {
        blocks[i] = malloc(1000);
        CHECK(blocks[i] != NULL, "no memory for small block %d", i);
        if (blocks[i] != NULL) memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < count; i++) free(blocks[i]);
    char *large = malloc(300 * MiB);
    if (CHECK(large != NULL, "200 MiB of small blocks were freed, and 300 of 400 MiB are not to be had")) large[0] = 1;
    free(large);
    free(blocks);
}

static void large_then_small(void)
{
    void *large[6];
    for (int i = 0; i < 6; i++) {
        large[i] = malloc(40 * MiB);
        CHECK(large[i] != NULL, "no memory for large block %d", i);
    }
    for (int i = 0; i < 6; i++) free(large[i]);
    size_t taken = 0;
    void *first = NULL, *block;
    while (taken < 250 * MiB && (block = malloc(100 * KiB)) != NULL) {
        *(void **)block = first;
        first = block;
        taken += 100 * KiB;
    }
    CHECK(taken >= 250 * MiB, "240 MiB of large blocks were freed, and small ones end at %zu MiB", taken / MiB);
    while (first != NULL) {
        void *next = *(void **)first;
        free(first);
        first = next;
    }
}

static void shrinking(void)
{
    char *block = malloc(200 * MiB);
    if (!CHECK(block != NULL, "no 200 MiB")) return;
    memset(block, 1, 200 * MiB);
    long before = status_kilobytes("VmRSS");
    char *smaller = realloc(block, 110 * MiB);
    if (!CHECK(smaller != NULL, "shrinking failed")) return;
    long after = status_kilobytes("VmRSS");
    CHECK(before - after > 80 * 1024, "shrinking by 90 MiB gave back %ld KiB", before - after);
    CHECK(smaller[0] == 1 && smaller[110 * MiB - 1] == 1, "contents were lost");
    free(smaller);
}

int main(void)
{
    shrinking();
    limit_to(400 * MiB);
    small_then_large();
    large_then_small();
    return finish();
}
