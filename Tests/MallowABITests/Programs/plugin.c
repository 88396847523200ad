/* The library that conformance_dlopen.c loads: it allocates in its constructor, frees and allocates in its destructor,
   gives blocks away and takes others. */
#include "conformance.h"

static char *since_loaded;

__attribute__((constructor)) static void loaded(void)
{
    since_loaded = malloc(3000);
    fill(since_loaded, 3000, 77);
}

__attribute__((destructor)) static void unloaded(void)
{
    if (!is_filled(since_loaded, 3000, 77)) abort();
    free(since_loaded);
    char *block = calloc(100, 10);
    if (!is_zero(block, 1000)) abort();
    free(block);
}

/* For the caller to free, even when this library is gone. */
void *plugin_gives(size_t size, uint64_t seed)
{
    void *block = malloc(size);
    fill(block, size, seed);
    return block;
}

/* Frees the caller's block; returns whether it was whole. */
int plugin_takes(void *block, size_t size, uint64_t seed)
{
    int whole = is_filled(block, size, seed);
    free(block);
    return whole;
}
