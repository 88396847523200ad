/* Commits one error after another, each in a child of its own, and prints a line for each: its name, how the child
   ended, and what it said on standard error, in which the address of the block is written as BLOCK. For hardened
   mode. The errors of a level that is not on print "survived". */
#include "conformance.h"
#include <signal.h>
#include <sys/wait.h>

/* Not in glibc. */
void free_sized(void *, size_t) __attribute__((weak));
void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

static int announcements;

static void *announced(void *pointer)
{
    char text[40];
    int length = snprintf(text, sizeof text, "0x%lx\n", (unsigned long)(uintptr_t)pointer);
    if (write(announcements, text, (size_t)length) != length) _exit(3);
    return pointer;
}

/* A block with neighbours of its size on both sides, wherever blocks are placed in order; all are filled. */
static volatile char *block_of(size_t size)
{
    char *volatile herd[40];
    for (int i = 0; i < 40; i++) memset(herd[i] = malloc(size), 'A', size);
    return announced(herd[20]);
}

static void *freed(size_t size)
{
    void *block = (void *)block_of(size);
    free(block);
    return block;
}

/* Has freed blocks be handed out again, which is when they are looked at. */
static void live_on(size_t size)
{
    for (int i = 0; i < 30000; i++) free(memset(malloc(size), 'B', size));
}

static void past(size_t size, size_t offset)
{
    volatile char *block = block_of(size);
    block[size + offset] = 0;
    free((void *)block);
}

static void resized_past(size_t size)
{
    volatile char *block = block_of(size);
    block[size] = 0;
    if (realloc((void *)block, size + 1) == NULL) _exit(3);
}

static void before(size_t size, size_t distance)
{
    volatile char *block = block_of(size);
    block[-(ptrdiff_t)distance] = 0;
    free((void *)block);
}

static void late(size_t size, size_t offset)
{
    ((volatile char *)freed(size))[offset] = 0;
    live_on(size);
}

static void copied_over(void)
{
    char *from = malloc(100), *to = announced(malloc(100));
    free(from);
    free(to);
    for (int i = 0; i < 100; i++) ((volatile char *)to)[i] = ((volatile char *)from)[i];
    live_on(100);
}

static void twice_after(int others)
{
    void *block = freed(100);
    for (int i = 0; i < others; i++) free(malloc(100));
    free(block);
}

static void *free_it(void *block)
{
    free(block);
    return NULL;
}

static void twice_in_thread(void)
{
    void *block = freed(48);
    pthread_t thread;
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
}

#define WAYS(way)                                                       \
    way(past_13_by_1, past(13, 0))                                      \
    way(past_24_by_1, past(24, 0))                                      \
    way(past_24_by_8, past(24, 7))                                      \
    way(past_1000_by_1, past(1000, 0))                                  \
    way(past_30000_by_1, past(30000, 0))                                \
    way(past_100001_by_1, past(100001, 0))                              \
    way(past_20MiB_by_1, past(20 * MiB - 1, 0))                         \
    way(realloc_past_100, resized_past(100))                            \
    way(before_24_by_1, before(24, 1))                                  \
    way(before_1000_by_8, before(1000, 8))                              \
    way(before_100001_by_1, before(100001, 1))                          \
    way(late_24_first, late(24, 0))                                     \
    way(late_24_last, late(24, 23))                                     \
    way(late_1000_middle, late(1000, 500))                              \
    way(late_copy, copied_over())                                       \
    way(twice_at_once, twice_after(0))                                  \
    way(twice_after_100, twice_after(100))                              \
    way(twice_by_thread, twice_in_thread())                             \
    way(twice_100KiB, free(freed(100 * KiB)))                           \
    way(twice_20MiB, free(freed(20 * MiB)))                             \
    way(realloc_freed, (void)!realloc(freed(100), 90))                  \
    way(inside_100_by_16, free((char *)block_of(100) + 16))             \
    way(inside_100KiB_by_16, free((char *)block_of(100 * KiB) + 16))    \
    way(inside_300KiB_by_128KiB, free((char *)block_of(300 * KiB) + 128 * KiB)) \
    way(sized_24_as_32, free_sized((void *)block_of(24), 32))           \
    way(sized_100KiB_as_1, free_sized((void *)block_of(100 * KiB), 1))  \
    way(aligned_64_as_128, free_aligned_sized(announced(aligned_alloc(64, 100)), 128, 100)) \
    way(aligned_64_as_none, free_sized(announced(aligned_alloc(64, 100)), 100)) \
    way(never_freed, (void)(block_of(40)[40] = 0))                      \
    way(fault_past_100KiB, (void)(block_of(100 * KiB)[100 * KiB] = 0))  \
    way(fault_freed_100KiB, (void)((volatile char *)freed(100 * KiB))[50 * KiB])

struct way {
    const char *name;
    void (*commit)(void);
};

#define FUNCTION(name, code) static void name(void) { code; }
WAYS(FUNCTION)
#define ENTRY(name, code) {#name, name},
static const struct way ways[] = {WAYS(ENTRY)};

/* Runs a way in a child. What it says comes through one pipe, the address of its block through another. */
static void run(const struct way *way)
{
    int said[2], addresses[2], status;
    if (pipe(said) != 0 || pipe(addresses) != 0) _exit(3);
    pid_t child = fork();
    if (child == 0) {
        dup2(said[1], 2);
        announcements = addresses[1];
        way->commit();
        exit(0);
    }
    close(said[1]);
    close(addresses[1]);
    char text[1000] = "", address[200] = "";
    size_t length = 0;
    ssize_t count;
    while ((count = read(said[0], text + length, sizeof text - 1 - length)) > 0) length += (size_t)count;
    while (length > 0 && text[length - 1] == '\n') text[--length] = 0;
    if (read(addresses[0], address, sizeof address - 1) <= 0) address[0] = 0;
    close(said[0]);
    close(addresses[0]);
    waitpid(child, &status, 0);
    char *end = strchr(address, '\n');
    if (end != NULL) *end = 0;
    printf("%s\t", way->name);
    if (WIFEXITED(status)) printf("survived\t");
    else printf("%s\t", WTERMSIG(status) == SIGABRT ? "aborted" : WTERMSIG(status) == SIGSEGV ? "faulted" : "killed");
    char *found = address[0] ? strstr(text, address) : NULL;
    if (found != NULL) printf("%.*sBLOCK%s\n", (int)(found - text), text, found + strlen(address));
    else printf("%s\n", text);
}

int main(void)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        fflush(stdout);
        run(&ways[i]);
    }
    return 0;
}
