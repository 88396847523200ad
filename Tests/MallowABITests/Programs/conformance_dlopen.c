/* A library that is loaded and unloaded again and again, and allocates in its constructor and destructor. Blocks go
   both ways, and outlive it; threads use it meanwhile. The argument is the library's path. */
#include "conformance.h"
#include <dlfcn.h>

enum { rounds = 150, count = 40 };

typedef void *gives(size_t, uint64_t);
typedef int takes(void *, size_t, uint64_t);

static const char *path;

static void *use(void *number)
{
    uint64_t seed = (uint64_t)(uintptr_t)number << 32;
    char *outliving[count];
    for (int round = 0; round < rounds; round++) {
        void *library = dlopen(path, round % 2 == 0 ? RTLD_NOW | RTLD_LOCAL : RTLD_LAZY | RTLD_GLOBAL);
        if (!CHECK(library != NULL, "dlopen: %s", dlerror())) return NULL;
        gives *give = (gives *)dlsym(library, "plugin_gives");
        takes *take = (takes *)dlsym(library, "plugin_takes");
        for (size_t i = 0; i < count; i++) {
            size_t size = i * i * i;
            outliving[i] = give(size, seed + i);
            char *block = malloc(size);
            fill(block, size, seed);
            CHECK(take(block, size, seed), "the library got %zu spoilt bytes", size);
        }
        CHECK(dlsym(library, "no_such_name") == NULL && dlerror() != NULL, "dlsym found what is not there");
        CHECK(dlclose(library) == 0, "dlclose failed");
        for (size_t i = 0; i < count; i++) {
            CHECK(is_filled(outliving[i], i * i * i, seed + i), "a library's block was spoilt after dlclose");
            free(outliving[i]);
        }
    }
    return NULL;
}

int main(int arguments, char **argument)
{
    if (arguments != 2) return 2;
    path = argument[1];
    use(NULL);
    pthread_t ids[3];
    for (int i = 0; i < 3; i++) pthread_create(&ids[i], NULL, use, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 3; i++) pthread_join(ids[i], NULL);
    return finish();
}
