/* Sizes that can never be served: products that overflow and anything above PTRDIFF_MAX give NULL and ENOMEM from
   every function, and a block that was to be reallocated stays as it was. */
#include "conformance.h"

static const size_t impossible[] = {
    PTRDIFF_MAX,      (size_t)PTRDIFF_MAX + 1,  (size_t)PTRDIFF_MAX + 17, SIZE_MAX / 2 + 4096, SIZE_MAX - 65536,
    SIZE_MAX - 4097,  SIZE_MAX - 4096,          SIZE_MAX - 4095,          SIZE_MAX - 64,       SIZE_MAX - 16,
    SIZE_MAX - 15,    SIZE_MAX - 8,             SIZE_MAX - 7,             SIZE_MAX - 1,        SIZE_MAX,
    (size_t)1 << 47,  (size_t)1 << 48,          ((size_t)1 << 48) + 1,    (size_t)1 << 60,     PTRDIFF_MAX - 4096,
};

static void refused(void *volatile block, const char *what, size_t size)
{
    CHECK(block == NULL, "%s of %zu bytes gave %p", what, size, block);
    CHECK(errno == ENOMEM, "%s of %zu bytes set errno to %d", what, size, errno);
    errno = 0;
}

static void too_large(void)
{
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        volatile size_t size = impossible[i];
        errno = 0;
        refused(malloc(size), "malloc", size);
        refused(calloc(1, size), "calloc(1, n)", size);
        refused(calloc(size, 1), "calloc(n, 1)", size);
        refused(realloc(NULL, size), "realloc(NULL)", size);
        refused(reallocarray(NULL, size, 1), "reallocarray(NULL)", size);
        refused(valloc(size), "valloc", size);
        refused(pvalloc(size), "pvalloc", size);
        for (size_t alignment = 8; alignment <= GiB; alignment *= 8) {
            void *untouched = &untouched, *block = untouched;
            refused(memalign(alignment, size), "memalign", size);
            refused(aligned_alloc(alignment, size), "aligned_alloc", size);
            int result = posix_memalign(&block, alignment, size);
            CHECK(result == ENOMEM, "posix_memalign(_, %zu, %zu) returned %d", alignment, size, result);
            CHECK(block == untouched, "posix_memalign(_, %zu, %zu) touched its argument", alignment, size);
        }
    }
}

static void overflowing(void)
{
    static const size_t factors[][2] = {
        {SIZE_MAX, 2},           {2, SIZE_MAX},           {SIZE_MAX / 2 + 1, 2},    {SIZE_MAX, SIZE_MAX},
        {4 * GiB, 4 * GiB},      {4 * GiB + 1, 4 * GiB},  {SIZE_MAX / 16 + 1, 16},  {16, SIZE_MAX / 16 + 1},
        {SIZE_MAX / 3 + 1, 3},   {3, SIZE_MAX / 3 + 2},   {PTRDIFF_MAX, 3},         {PTRDIFF_MAX, 2},
        {SIZE_MAX / 8, 8},       {SIZE_MAX / 4096, 4096}, {8 * GiB, 2 * GiB},       {6148914691236517206u, 3},
    };
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        volatile size_t count = factors[i][0], size = factors[i][1];
        char *block = malloc(100);
        fill(block, 100, i);
        errno = 0;
        refused(calloc(count, size), "calloc of a product", count);
        refused(reallocarray(NULL, count, size), "reallocarray(NULL) of a product", count);
        refused(reallocarray(block, count, size), "reallocarray of a product", count);
        CHECK(is_filled(block, 100, i), "reallocarray(p, %zu, %zu) did not keep the block", count, size);
        free(block);
    }
}

/* A realloc that fails must leave the block live, in place, and with its contents, whatever its size. */
static void failing_realloc(void)
{
    static const size_t sizes[] = {1, 8, 24, 100, 1000, 5000, 40000, 300000, 2 * MiB, 40 * MiB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        char *block = malloc(size);
        size_t usable = malloc_usable_size(block);
        fill(block, size, i);
        for (size_t j = 0; j < sizeof impossible / sizeof *impossible; j++) {
            volatile size_t wanted = impossible[j];
            errno = 0;
            refused(realloc(block, wanted), "realloc", wanted);
            CHECK(malloc_usable_size(block) == usable, "a failing realloc changed a block of %zu bytes", size);
            CHECK(is_filled(block, size, i), "a failing realloc spoilt a block of %zu bytes", size);
        }
        block = realloc(block, size + 1);
        CHECK(block != NULL && is_filled(block, size, i), "a block of %zu bytes cannot be grown any more", size);
        free(block);
    }
}

int main(void)
{
    too_large();
    overflowing();
    failing_realloc();
    return finish();
}
