/* Frees (or reallocates, or measures) what is not the start of a live block, in the way the first argument names. The
   address goes to standard output first, so that the test can look for it in the message. Without an argument it lists
   the ways. Reaching the end of main means that the misuse was not caught. */
#include "conformance.h"
#include <sys/mman.h>

static char array[4096] __attribute__((aligned(4096)));

static void *announced(void *pointer)
{
    char text[40];
    int length = snprintf(text, sizeof text, "0x%lx\n", (unsigned long)(uintptr_t)pointer);
    if (write(1, text, (size_t)length) != length) _exit(3);
    return pointer;
}

static void *mapped(void)
{
    return mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* What lies `offset` bytes into a live block of `size`, which has neighbours of its size. */
static void *inside(size_t size, size_t offset)
{
    char *volatile before = malloc(size), *volatile block = malloc(size), *volatile after = malloc(size);
    *before = *block = *after = 1;
    return announced(block + offset);
}

/* A block of `size` that is freed, and after it `others` more of its size; one stays live beside it. */
static void *dead(size_t size, int others)
{
    void *volatile companions[64];
    void *volatile block = malloc(size), *volatile live = malloc(size);
    memset(block, 1, size);
    memset(live, 1, size);
    for (int i = 0; i < others; i++) companions[i] = malloc(size);
    announced(block);
    free(block);
    for (int i = 0; i < others; i++) free(companions[i]);
    return block;
}

/* A block of `size` that is freed, and whose memory went back to the kernel while its page stays. */
static void *given_back(size_t size)
{
    enum { COUNT = 1000 };
    static void *volatile blocks[COUNT];
    for (int i = 0; i < COUNT; i++) blocks[i] = memset(malloc(size), 1, size);
    announced(blocks[COUNT / 2 + 1]);
    for (int i = 0; i < COUNT; i++)
        if (i % 250 != 0) free(blocks[i]);
    malloc_trim(0);
    return blocks[COUNT / 2 + 1];
}

#define WAYS(way)                                                              \
    way(free_static, free(announced(array + 64)))                              \
    way(free_static_page, free(announced(array)))                              \
    way(free_stack, free(announced(on_stack)))                                 \
    way(free_mapping, free(announced(mapped())))                               \
    way(free_inside_mapping, free(announced((char *)mapped() + 4096 + 64)))    \
    way(free_function, free(announced((void *)(uintptr_t)main)))               \
    way(free_literal, free(announced((void *)(uintptr_t)"a literal")))         \
    way(free_low_address, free(announced((void *)0x40)))                       \
    way(free_64_plus_1, free(inside(64, 1)))                                   \
    way(free_64_plus_8, free(inside(64, 8)))                                   \
    way(free_64_plus_16, free(inside(64, 16)))                                 \
    way(free_64_plus_32, free(inside(64, 32)))                                 \
    way(free_8_plus_4, free(inside(8, 4)))                                     \
    way(free_1000_plus_512, free(inside(1000, 512)))                           \
    way(free_40KiB_plus_16, free(inside(40 * KiB, 16)))                        \
    way(free_40KiB_plus_8KiB, free(inside(40 * KiB, 8 * KiB)))                 \
    way(free_300KiB_plus_16, free(inside(300 * KiB, 16)))                      \
    way(free_300KiB_plus_64KiB, free(inside(300 * KiB, 64 * KiB)))             \
    way(free_20MiB_plus_16, free(inside(20 * MiB, 16)))                        \
    way(free_20MiB_plus_4KiB, free(inside(20 * MiB, 4 * KiB)))                 \
    way(free_20MiB_plus_8MiB, free(inside(20 * MiB, 8 * MiB)))                 \
    way(double_free_8, free(dead(8, 0)))                                       \
    way(double_free_64, free(dead(64, 0)))                                     \
    way(double_free_1000, free(dead(1000, 0)))                                 \
    way(double_free_64_after_10, free(dead(64, 10)))                           \
    way(double_free_8_after_10, free(dead(8, 10)))                             \
    way(double_free_64_given_back, free(given_back(64)))                       \
    way(double_free_3000_given_back, free(given_back(3000)))                   \
    way(double_free_100KiB, free(dead(100 * KiB, 0)))                          \
    way(double_free_1MiB, free(dead(MiB, 0)))                                  \
    way(double_free_20MiB, free(dead(20 * MiB, 0)))                            \
    way(realloc_static, used = realloc(announced(array + 64), 100))            \
    way(realloc_stack, used = realloc(announced(on_stack), 100))               \
    way(realloc_mapping, used = realloc(announced(mapped()), 100000))          \
    way(realloc_64_plus_16, used = realloc(inside(64, 16), 1000))              \
    way(realloc_20MiB_plus_4KiB, used = realloc(inside(20 * MiB, 4096), 1000)) \
    way(usable_size_static, measured = malloc_usable_size(announced(array)))   \
    way(usable_size_stack, measured = malloc_usable_size(announced(on_stack))) \
    way(usable_size_mapping, measured = malloc_usable_size(announced(mapped())))

int main(int count, char **arguments)
{
    _Alignas(64) char on_stack[64];
    void *volatile used = on_stack;
    volatile size_t measured = 0;
    free(malloc(100));
#define LIST(name, misuse) \
    if (count < 2) puts(#name);
#define TRY(name, misuse) \
    if (count == 2 && strcmp(arguments[1], #name) == 0) misuse;
    WAYS(LIST)
    WAYS(TRY)
    return used == NULL && measured == 1;
}
