/* The names that glibc has not (yet), or only as internal ones: free_sized, free_aligned_sized, malloc_good_size, cfree
   and __libc_malloc and its sisters. They are looked up by dlsym, and all belong to one heap with malloc. */
#include "conformance.h"
#include <dlfcn.h>

static void *name(const char *wanted)
{
    void *found = dlsym(RTLD_DEFAULT, wanted);
    CHECK(found != NULL, "%s is missing", wanted);
    if (found == NULL) _exit(finish());
    return found;
}

int main(void)
{
    void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))name("free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))name("free_aligned_sized");
    size_t (*good_size)(size_t) = (size_t(*)(size_t))name("malloc_good_size");
    void (*cfree)(void *) = (void (*)(void *))name("cfree");
    void *(*libc_malloc)(size_t) = (void *(*)(size_t))name("__libc_malloc");
    void *(*libc_calloc)(size_t, size_t) = (void *(*)(size_t, size_t))name("__libc_calloc");
    void *(*libc_realloc)(void *, size_t) = (void *(*)(void *, size_t))name("__libc_realloc");
    void *(*libc_memalign)(size_t, size_t) = (void *(*)(size_t, size_t))name("__libc_memalign");
    void (*libc_free)(void *) = (void (*)(void *))name("__libc_free");

    /* Sizes that the contract says are exact. */
    CHECK(good_size(8) == 8, "malloc_good_size(8) is %zu", good_size(8));
    for (size_t size = 16; size <= 256; size += 16)
        CHECK(good_size(size) == size, "malloc_good_size(%zu) is %zu", size, good_size(size));
    for (size_t size = 1; size < 10 * MiB; size = size * 9 / 8 + 1) {
        char *block = malloc(size), *other = libc_malloc(size);
        CHECK(malloc_usable_size(block) == good_size(size), "malloc_good_size(%zu) is %zu, the block has %zu", size,
              good_size(size), malloc_usable_size(block));
        CHECK(malloc_usable_size(other) == good_size(size), "__libc_malloc(%zu) is another malloc", size);
        if (size > 256 && size < 32 * KiB)
            CHECK(good_size(size) <= size + size / 8 + 16, "%zu bytes waste %zu", size, good_size(size) - size);
        fill(block, size, size);
        fill(other, size, size + 1);
        CHECK(is_filled(block, size, size), "a block of __libc_malloc overlaps one of malloc");
        libc_free(block);
        free(other);

        char *zeros = libc_calloc(1, size);
        CHECK(is_zero(zeros, size), "__libc_calloc of %zu bytes is not zero", size);
        zeros = libc_realloc(zeros, size + 100);
        CHECK(is_zero(zeros, size), "__libc_realloc lost contents");
        cfree(zeros);
        char *aligned = libc_memalign(512, size);
        CHECK(is_aligned(aligned, 512), "__libc_memalign(512, %zu) gave %p", size, (void *)aligned);
        free_aligned_sized(aligned, 512, size);
        free_aligned_sized(aligned_alloc(4096, size), 4096, size);
        free_sized(malloc(size), size);
        free_sized(calloc(size, 2), size * 2);
        free_sized(realloc(malloc(10), size), size);
    }
    free_sized(NULL, 5);
    free_aligned_sized(NULL, 64, 5);
    libc_free(NULL);
    cfree(NULL);

    /* They really free: without, these would be 20 GB. */
    long before = status_kilobytes("VmRSS");
    for (int i = 0; i < 200000; i++) {
        free_sized(memset(malloc(20000), 1, 20000), 20000);
        free_aligned_sized(memset(aligned_alloc(64, 20000), 1, 20000), 64, 20000);
        cfree(memset(libc_malloc(20000), 1, 20000));
    }
    CHECK(status_kilobytes("VmRSS") - before < 16 * 1024, "a sized or old free does not free");
    return finish();
}
