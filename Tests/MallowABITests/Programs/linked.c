/* Linked with libmallow.a in every way there is: proves that malloc, the C library's own use of it and every thread's
   are Mallow's, by its sizes and its statistics. */
#include "conformance.h"
#include <mallow.h>

static uint64_t live_blocks(void)
{
    struct mallow_statistics statistics;
    mallow_statistics(&statistics);
    return statistics.live_blocks;
}

static _Atomic(char *) handed[32];

static void *use(void *number)
{
    uint64_t state = (uint64_t)(uintptr_t)number << 30;
    for (int i = 0; i < 50000; i++) {
        char *block = malloc(next_random(&state) % 2000 + 1);
        *block = 1;
        free(atomic_exchange(&handed[next_random(&state) % 32], block));
    }
    return NULL;
}

int main(void)
{
    CHECK(malloc_usable_size(malloc(100)) == 112, "malloc is not Mallow's: 100 bytes have %zu",
          malloc_usable_size(malloc(100)));
    uint64_t before = live_blocks();
    void *blocks[] = {malloc(100), calloc(10, 10), realloc(NULL, 5000), memalign(4096, 10), strdup("by the C library")};
    CHECK(live_blocks() == before + 5, "five blocks more counted as %lld", (long long)(live_blocks() - before));
    for (int i = 0; i < 5; i++) free(blocks[i]);
    CHECK(live_blocks() == before, "%lld blocks remain of five", (long long)(live_blocks() - before));

    pthread_t ids[4];
    for (int i = 0; i < 4; i++) pthread_create(&ids[i], NULL, use, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 4; i++) pthread_join(ids[i], NULL);
    for (int i = 0; i < 32; i++) free(handed[i]);

    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    for (int i = 0; i < 10000; i++) fprintf(stream, "%d\n", i);
    fclose(stream);
    CHECK(length == 48890, "a stream in memory has %zu bytes", length);
    free(text);
    return finish();
}
