/* With MALLOW_LIMIT as the argument says: blocks of each size can be had nearly up to the limit, none beyond, `errno`
   says why, and a growing block stops growing and keeps what it holds. */
#include "conformance.h"

static size_t take(size_t size, void **first)
{
    size_t taken = 0;
    void *block;
    errno = 0;
    while ((block = malloc(size)) != NULL) {
        *(void **)block = *first;
        *first = block;
        taken += size;
        if (taken > 4 * GiB) break;
    }
    CHECK(errno == ENOMEM, "blocks of %zu bytes end with errno %d", size, errno);
    return taken;
}

int main(int count, char **arguments)
{
    size_t limit = count > 1 ? strtoull(arguments[1], NULL, 10) : 0;
    static const size_t sizes[] = {16, 100, 5000, 30000, 100000, 3000000, 20000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *first = NULL;
        size_t taken = take(sizes[i], &first);
        CHECK(taken <= limit, "%zu bytes in blocks of %zu, beyond the limit", taken, sizes[i]);
        CHECK(taken >= limit / 4 * 3, "%zu bytes in blocks of %zu", taken, sizes[i]);
        CHECK(calloc(100, 1 * MiB) == NULL, "calloc beyond the limit");
        CHECK(aligned_alloc(4 * KiB, 100 * MiB) == NULL, "aligned_alloc beyond the limit");
        while (first != NULL) {
            void *next = *(void **)first;
            free(first);
            first = next;
        }
        malloc_trim(0);
    }
    size_t size = 1 * MiB;
    char *growing = malloc(size), *more;
    CHECK(growing != NULL, "no room for 1 MiB");
    memset(growing, 7, size);
    while ((more = realloc(growing, size + 1 * MiB)) != NULL) {
        growing = more;
        memset(growing + size, 7, 1 * MiB);
        size += 1 * MiB;
    }
    CHECK(errno == ENOMEM && size <= limit && size >= limit / 2, "growth ends at %zu bytes with errno %d", size, errno);
    int is_whole = 1;
    for (size_t i = 0; i < size; i += 4096) is_whole &= growing[i] == 7;
    CHECK(is_whole, "what had grown is damaged");
    free(growing);
    return finish();
}
