/* calloc gives zeros in memory that was dirty when it was freed: for every range of sizes, after orderly and after
   scattered frees, after realloc cut a block, and from memory that another thread freed. */
#include "conformance.h"

enum { count = 400 };
static unsigned char *blocks[count];

static void make_dirty(size_t size, size_t number)
{
    for (size_t i = 0; i < number; i++) {
        blocks[i] = malloc(size);
        memset(blocks[i], 0xff, malloc_usable_size(blocks[i]));
    }
}

static void expect_zeros(size_t size, size_t number, const char *when)
{
    for (size_t i = 0; i < number; i++) {
        blocks[i] = i % 2 == 0 ? calloc(1, size) : calloc(size, 1);
        if (!CHECK(blocks[i] != NULL, "calloc of %zu bytes is NULL", size)) continue;
        CHECK(is_zero(blocks[i], size), "calloc of %zu bytes is dirty after %s", size, when);
        memset(blocks[i], 0xee, size);
    }
    for (size_t i = 0; i < number; i++) free(blocks[i]);
}

static void *free_all(void *number)
{
    for (size_t i = 0; i < *(size_t *)number; i++) free(blocks[i]);
    return NULL;
}

int main(void)
{
    for (size_t size = 1; size < 80 * MiB; size = size * 3 / 2 + 1) {
        size_t number = size > 8 * MiB ? 2 : size > 256 * KiB ? 8 : size > 16 * KiB ? 40 : count;
        make_dirty(size, number);
        for (size_t i = 0; i < number; i++) free(blocks[i]);
        expect_zeros(size, number, "frees in order");

        make_dirty(size, number);
        for (size_t i = 0; i < number; i += 2) free(blocks[i]);
        for (size_t i = 1; i < number; i += 2) free(blocks[i]);
        expect_zeros(size, number, "scattered frees");

        make_dirty(size, number);
        for (size_t i = 0; i < number; i++) free(realloc(blocks[i], size / 2 + 1));
        expect_zeros(size, number, "shrinking");

        pthread_t thread;
        make_dirty(size, number);
        pthread_create(&thread, NULL, free_all, &number);
        pthread_join(thread, NULL);
        expect_zeros(size, number, "frees by another thread");

        make_dirty(size, number);
        for (size_t i = 0; i < number; i++) free(blocks[i]);
        malloc_trim(0);
        expect_zeros(size, number, "malloc_trim");
    }
    return finish();
}
