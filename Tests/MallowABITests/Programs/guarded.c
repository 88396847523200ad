/* Commits the memory error that the first argument names, on a block that is guarded where MALLOW_GUARD_RATE is 1; or
   handles SIGSEGV itself. Reaching the end of main means that nothing happened. Without an argument it lists the ways. */
#include "conformance.h"
#include <signal.h>
#include <sys/wait.h>

/* By name, so that the report can be held to it. What they return is used, so that no call becomes a jump. */
static char *volatile kept;

__attribute__((noinline)) static char *make_block(size_t size)
{
    kept = malloc(size);
    return kept;
}

__attribute__((noinline)) static void drop_block(void *block)
{
    free(block);
    kept = NULL;
}

__attribute__((noinline)) static char *grow_block(char *block, size_t size)
{
    kept = realloc(block, size);
    return kept;
}

__attribute__((noinline)) static char *make_zeros(size_t count, size_t size)
{
    kept = calloc(count, size);
    return kept;
}

__attribute__((noinline)) static char *make_aligned(size_t alignment, size_t size)
{
    void *block = NULL;
    if (posix_memalign(&block, alignment, size) != 0) return NULL;
    kept = block;
    return kept;
}

static char *dead(size_t size)
{
    char *block = make_block(size);
    drop_block(block);
    return block;
}

static volatile long sink;
static struct sigaction before;

static void own_handler(int number)
{
    (void)number;
    _exit(write(1, "handled\n", 8) == 8 ? 42 : 43);
}

/* As good handlers do: does its own, then calls what it found. */
static void chaining_handler(int number, siginfo_t *information, void *context)
{
    if (write(1, "handled\n", 8) != 8) _exit(43);
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(number, information, context);
}

static void handle(int flags, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    sigaction(SIGSEGV, &action, &before);
}

static void *free_and_read(void *block)
{
    drop_block(block);
    sink = ((volatile char *)block)[10];
    return NULL;
}

static void in_a_child(void)
{
    char *block = make_block(40);
    pid_t child = fork();
    if (child != 0) _exit(waitpid(child, NULL, 0) != child);
    drop_block(block);
    sink = block[3];
}

static void by_another_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, free_and_read, make_block(40));
    pthread_join(thread, NULL);
}

#define WAYS(way)                                                                     \
    way(read_1, sink = *(volatile char *)(dead(40) + 16))                             \
    way(read_2, sink = *(volatile short *)(dead(40) + 16))                            \
    way(read_4, sink = *(volatile int *)(dead(40) + 16))                              \
    way(read_8, sink = *(volatile long *)(dead(40) + 16))                             \
    way(read_float, sink = (long)*(volatile double *)(dead(40) + 16))                 \
    way(write_1, *(volatile char *)(dead(40) + 16) = 1)                               \
    way(write_8, *(volatile long *)(dead(40) + 16) = 1)                               \
    way(write_large, dead(100000)[5] = 1)                                             \
    way(overflow_1, (block = make_block(48))[48] = 1; drop_block(block))              \
    way(overflow_in_slack, (block = make_block(41))[41] = 1; drop_block(block))       \
    way(overflow_string, strcpy(block = make_block(8), "12345678"); drop_block(block)) \
    way(underflow_1, (block = make_block(48))[-1] = 1; drop_block(block))             \
    way(double_free, drop_block(dead(40)))                                            \
    way(double_realloc, grow_block(dead(40), 50))                                     \
    way(invalid_free, drop_block(make_block(40) + 8))                                 \
    way(usable_size_inside, sink = (long)malloc_usable_size(make_block(40) + 8))      \
    way(after_realloc, block = make_block(40); grow_block(block, 4000); sink = block[1]) \
    way(zeros, drop_block(block = make_zeros(5, 8)); sink = block[1])                 \
    way(aligned, drop_block(block = make_aligned(64, 40)); sink = block[1])           \
    way(in_a_child, in_a_child())                                                     \
    way(by_another_thread, by_another_thread())                                       \
    way(own_handler, signal(SIGSEGV, own_handler); sink = dead(40)[1])                \
    way(chaining_handler, handle(SA_SIGINFO, chaining_handler); sink = dead(40)[1])   \
    way(null_pointer, sink = *(volatile char *)(uintptr_t)sink)                       \
    way(raised, raise(SIGSEGV))                                                       \
    way(bus_error, raise(SIGBUS))                                                     \
    way(own_handler_for_null, signal(SIGSEGV, own_handler); sink = *(volatile char *)(uintptr_t)sink)

int main(int count, char **arguments)
{
    char *volatile block = NULL;
    (void)block;
#define LIST(name, misuse) \
    if (count < 2) puts(#name);
#define TRY(name, misuse) \
    if (count == 2 && strcmp(arguments[1], #name) == 0) { misuse; }
    WAYS(LIST)
    WAYS(TRY)
    return 0;
}
