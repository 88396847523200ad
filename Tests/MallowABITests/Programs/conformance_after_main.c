/* malloc before main and after it: in constructors, in atexit handlers (the first one is run last), in destructors of
   every priority, and in a thread that still runs meanwhile. The last destructor says that all of it happened. */
#include "conformance.h"

enum { blocks = 300 };
static char *early[blocks], *kept[blocks], *swapped[blocks];
static int stages;
static _Atomic int ticks, stop;

static size_t size_of(int i)
{
    return (size_t)i * (size_t)i % 40000 + 1;
}

static void take(char **table, uint64_t seed)
{
    for (int i = 0; i < blocks; i++) fill(table[i] = malloc(size_of(i)), size_of(i), seed + (uint64_t)i);
}

static void give(char **table, uint64_t seed)
{
    for (int i = 0; i < blocks; i++) {
        CHECK(is_filled(table[i], size_of(i), seed + (uint64_t)i), "block %d was spoilt by stage %d", i, stages);
        free(table[i]);
    }
}

__attribute__((constructor(101))) static void first(void)
{
    take(early, 1000);
    stages++;
}

__attribute__((constructor)) static void second(void)
{
    give(early, 1000);
    take(early, 2000);
    stages++;
}

static void at_exit_first_registered(void)
{
    give(swapped, 3000);
    take(swapped, 4000);
    stages++;
}

static void at_exit_last_registered(void)
{
    give(kept, 5000);
    take(kept, 6000);
    stages++;
}

__attribute__((destructor)) static void before_last(void)
{
    give(kept, 6000);
    give(early, 2000);
    take(early, 7000);
    stages++;
}

__attribute__((destructor(101))) static void last(void)
{
    stop = 1;
    give(early, 7000);
    give(swapped, 4000);
    CHECK(stages == 5, "%d stages ran, not 5", stages);
    CHECK(ticks > 0, "the other thread did not allocate");
    if (finish() != 0) _exit(1);
}

static void *tick(void *unused)
{
    (void)unused;
    uint64_t state = 9;
    while (!stop) {
        char *block = malloc(next_random(&state) % 5000 + 1);
        *(volatile char *)block = 1;
        free(block);
        ticks++;
    }
    return NULL;
}

int main(void)
{
    pthread_t thread;
    atexit(at_exit_first_registered);
    take(swapped, 3000);
    take(kept, 5000);
    atexit(at_exit_last_registered);
    pthread_create(&thread, NULL, tick, NULL);
    while (ticks == 0) usleep(100);
    return 0;
}
