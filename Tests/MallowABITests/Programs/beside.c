/* Loads libmallow.so (the argument) by dlopen with RTLD_LOCAL, so that malloc stays the system's, and uses its own
   names by dlsym: from several threads, in a forked child, and side by side with the system's blocks. */
#include "conformance.h"
#include <dlfcn.h>
#include <sys/wait.h>

enum { threads = 4, count = 3000 };

static void *(*own_malloc)(size_t), *(*own_calloc)(size_t, size_t), *(*own_realloc)(void *, size_t);
static void (*own_free)(void *);
static size_t (*own_usable_size)(void *);
static _Atomic(char *) handed[64];

static void *use(void *number)
{
    uint64_t seed = (uint64_t)(uintptr_t)number << 32, state = seed;
    char *ours[200], *theirs[200];
    for (int round = 0; round < count / 200; round++) {
        for (size_t i = 0; i < 200; i++) {
            size_t size = i * i;
            ours[i] = i % 2 == 0 ? own_malloc(size) : own_calloc(1, size);
            theirs[i] = malloc(size);
            CHECK(own_usable_size(ours[i]) >= size, "usable size of %zu bytes", size);
            fill(ours[i], size, seed + i);
            fill(theirs[i], size, seed - i);
        }
        for (size_t i = 0; i < 200; i++) {
            ours[i] = own_realloc(ours[i], i * i + 50);
            CHECK(is_filled(ours[i], i * i, seed + i), "mallow_realloc to %zu bytes lost contents", i * i + 50);
            CHECK(is_filled(theirs[i], i * i, seed - i), "the system's block of %zu bytes was overwritten", i * i);
            free(theirs[i]);
            own_free(atomic_exchange(&handed[next_random(&state) % 64], ours[i]));
        }
    }
    return NULL;
}

int main(int arguments, char **argument)
{
    if (arguments != 2) return 2;
    void *library = dlopen(argument[1], RTLD_NOW | RTLD_LOCAL);
    if (!CHECK(library != NULL, "%s", dlerror())) return finish();
    own_malloc = (void *(*)(size_t))dlsym(library, "mallow_malloc");
    own_calloc = (void *(*)(size_t, size_t))dlsym(library, "mallow_calloc");
    own_realloc = (void *(*)(void *, size_t))dlsym(library, "mallow_realloc");
    own_free = (void (*)(void *))dlsym(library, "mallow_free");
    own_usable_size = (size_t(*)(void *))dlsym(library, "mallow_usable_size");
    if (!CHECK(own_malloc && own_calloc && own_realloc && own_free && own_usable_size, "a name is missing"))
        return finish();

    void *ours = own_malloc(100), *theirs = malloc(100);
    CHECK(own_usable_size(ours) == 112, "mallow_usable_size of 100 bytes is %zu", own_usable_size(ours));
    CHECK(malloc_usable_size(theirs) == 104, "malloc is not the system's: %zu", malloc_usable_size(theirs));
    own_free(ours);
    free(theirs);

    for (int generation = 0; generation < 5; generation++) {
        pthread_t ids[threads];
        for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, use, (void *)(uintptr_t)(i + 1));
        for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
        pid_t process = fork();
        if (process == 0) {
            use(NULL);
            _exit(checks_failed != 0);
        }
        int status = -1;
        waitpid(process, &status, 0);
        CHECK(status == 0, "the child ended with wait status 0x%x", status);
    }
    for (int i = 0; i < 64; i++) own_free(handed[i]);
    return finish();
}
