/* The other functions of the malloc family do their own part: the aligned ones align, valloc and pvalloc count in
   pages, reallocarray multiplies, cfree frees, and free leaves errno alone. Alignments go up to 1 GiB. */
#include "conformance.h"
#include <dlfcn.h>

static void *aligned(int how, size_t alignment, size_t size)
{
    void *block = NULL;
    switch (how) {
    case 0: return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
    case 1: return aligned_alloc(alignment, size);
    default: return memalign(alignment, size);
    }
}

static const char *const names[] = {"posix_memalign", "aligned_alloc", "memalign"};

static void every_alignment(void)
{
    static const size_t sizes[] = {0, 1, 7, 16, 100, 1000, 4096, 40000, 65537, 300000, MiB + 3, 3 * MiB};
    for (size_t alignment = 8; alignment <= GiB; alignment *= 2) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *blocks[3];
            for (int how = 0; how < 3; how++) {
                void *block = blocks[how] = aligned(how, alignment, sizes[i]);
                if (!CHECK(block != NULL, "%s(%zu, %zu) is NULL", names[how], alignment, sizes[i])) continue;
                size_t usable = malloc_usable_size(block);
                CHECK(is_aligned(block, alignment), "%s(%zu, %zu) gave %p", names[how], alignment, sizes[i], block);
                CHECK(usable >= sizes[i], "%s(%zu, %zu): usable size %zu", names[how], alignment, sizes[i], usable);
                fill(block, sizes[i], alignment + (uint64_t)how);
                if (usable > sizes[i]) ((uint8_t *)block)[sizes[i]] = ((uint8_t *)block)[usable - 1] = 0xcc;
            }
            for (int how = 0; how < 3; how++) {
                if (blocks[how] == NULL) continue;
                CHECK(is_filled(blocks[how], sizes[i], alignment + (uint64_t)how),
                      "%s(%zu, %zu) was overwritten while it was live", names[how], alignment, sizes[i]);
                free(blocks[how]);
            }
        }
    }
}

/* Many aligned blocks among ordinary ones, each reallocated once: contents stay, ends may move. */
static void aligned_and_reallocated(void)
{
    enum { count = 600 };
    static void *blocks[count], *others[count];
    for (size_t i = 0; i < count; i++) {
        size_t alignment = (size_t)16 << i % 12, size = 1 + i * 37 % 9000;
        blocks[i] = aligned((int)(i % 3), alignment, size);
        others[i] = malloc(size);
        CHECK(blocks[i] != NULL && is_aligned(blocks[i], alignment), "alignment %zu of block %zu", alignment, i);
        fill(blocks[i], size, i);
        fill(others[i], size, i + count);
    }
    for (size_t i = 0; i < count; i++) {
        size_t size = 1 + i * 37 % 9000, wanted = 1 + i * 91 % 20000, kept = size < wanted ? size : wanted;
        blocks[i] = realloc(blocks[i], wanted);
        CHECK(blocks[i] != NULL && is_filled(blocks[i], kept, i), "aligned block %zu lost its contents", i);
        CHECK(is_filled(others[i], size, i + count), "a neighbour of aligned block %zu was overwritten", i);
    }
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
        free(others[i]);
    }
}

static void bad_alignments(void)
{
    static const size_t bad[] = {0, 1, 2, 3, 4, 5, 7, 9, 12, 24, 48, 100, 4095, 4097, GiB + 8, SIZE_MAX, SIZE_MAX - 7};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *untouched = &untouched, *block = untouched;
        errno = 1234;
        int result = posix_memalign(&block, bad[i], 100);
        CHECK(result == EINVAL, "posix_memalign(_, %zu, 100) returned %d", bad[i], result);
        CHECK(block == untouched, "posix_memalign(_, %zu, 100) touched its argument", bad[i]);
        CHECK(errno == 1234, "posix_memalign(_, %zu, 100) set errno to %d", bad[i], errno);
    }
}

static void pages(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 1; size < 300000; size = size * 3 + 5) {
        void *block = valloc(size), *whole = pvalloc(size);
        size_t rounded = (size + page - 1) / page * page;
        CHECK(block != NULL && is_aligned(block, page), "valloc(%zu) gave %p", size, block);
        CHECK(whole != NULL && is_aligned(whole, page), "pvalloc(%zu) gave %p", size, whole);
        CHECK(malloc_usable_size(whole) >= rounded, "pvalloc(%zu): usable %zu", size, malloc_usable_size(whole));
        memset(block, 1, size);
        memset(whole, 2, rounded);
        CHECK(((char *)block)[size - 1] == 1, "pvalloc(%zu) overlaps valloc(%zu)", size, size);
        free(block);
        free(whole);
    }
}

static void arrays(void)
{
    int *numbers = NULL;
    size_t written = 0;
    for (size_t count = 1; count < 200000; count = count * 5 / 3 + 1) {
        numbers = reallocarray(numbers, count, sizeof *numbers);
        if (!CHECK(numbers != NULL, "reallocarray(p, %zu, 4) is NULL", count)) return;
        CHECK(malloc_usable_size(numbers) >= count * sizeof *numbers, "reallocarray(p, %zu, 4) is short", count);
        for (size_t i = 0; i < written; i++)
            if (numbers[i] != (int)i) CHECK(0, "reallocarray(p, %zu, 4) lost number %zu", count, i);
        for (; written < count; written++) numbers[written] = (int)written;
    }
    free(numbers);
}

static void errno_is_kept(void)
{
    static const size_t sizes[] = {0, 8, 100, 1000, 5000, 40000, 200000, MiB, 20 * MiB, 200 * MiB};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *block = malloc(sizes[i]);
            void *other = memalign(256 * KiB, sizes[i]);
            errno = 4321;
            free(block);
            CHECK(errno == 4321, "free of %zu bytes set errno to %d", sizes[i], errno);
            free(other);
            CHECK(errno == 4321, "free of %zu aligned bytes set errno to %d", sizes[i], errno);
        }
}

/* New links have not found cfree in glibc since 2.26, so it is looked up, and its absence is no failure. */
static void old_name(void)
{
    void (*cfree)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
    if (cfree == NULL) return;
    long before = status_kilobytes("VmRSS");
    for (int i = 0; i < 2000; i++) {
        void *block = malloc(100000);
        memset(block, 1, 100000);
        cfree(block);
    }
    CHECK(status_kilobytes("VmRSS") - before < 20 * 1024, "cfree does not free");
}

int main(void)
{
    every_alignment();
    aligned_and_reallocated();
    bad_alignments();
    pages();
    arrays();
    errno_is_kept();
    old_name();
    return finish();
}
