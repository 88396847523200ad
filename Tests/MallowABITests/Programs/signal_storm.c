/* Four threads allocate, free each other's blocks, and start and end, while they get SIGUSR2 hundreds of times. To be
   run with MALLOW_STATS_SIGNAL=USR2: whatever the handler does, it does in the middle of malloc. */
#include "conformance.h"
#include <signal.h>

enum { threads = 4, signals = 2500 };

static _Atomic(char *) handed[128];
static _Atomic int stop, turns;

static void *use(void *number)
{
    uint64_t state = (uint64_t)(uintptr_t)number << 32;
    while (!stop) {
        size_t size = next_random(&state) % (next_random(&state) % 64 == 0 ? 3 * MiB : 3000) + 1;
        char *block = next_random(&state) % 4 == 0 ? calloc(1, size) : malloc(size);
        if (!CHECK(block != NULL, "malloc(%zu) is NULL", size)) return NULL;
        block[0] = block[size - 1] = 1;
        if (next_random(&state) % 8 == 0) block = realloc(block, size * 2);
        if (next_random(&state) % 2000 == 0) malloc_trim(0);
        free(atomic_exchange(&handed[next_random(&state) % 128], block));
        turns++;
    }
    return NULL;
}

static void *use_and_go(void *number)
{
    for (int i = 0; i < 20; i++) free(malloc((size_t)(uintptr_t)number * 100 + 1));
    return NULL;
}

int main(void)
{
    pthread_t ids[threads];
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, use, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < signals; i++) {
        pthread_t short_lived;
        if (i % 8 == 0) pthread_create(&short_lived, NULL, use_and_go, (void *)(uintptr_t)i);
        CHECK(pthread_kill(ids[i % threads], SIGUSR2) == 0, "signal %d cannot be sent", i);
        usleep(200);
        if (i % 8 == 0) pthread_join(short_lived, NULL);
    }
    stop = 1;
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    for (int i = 0; i < 128; i++) free(handed[i]);
    CHECK(turns > signals, "only %d turns while %d signals came", turns, signals);
    return finish();
}
