/* MALLOW_BUCKET of mallow.h in three source files at once: this one, buckets_other.c, and a library that is loaded and
   unloaded, whose path is the argument. Blocks have exactly their type's size, go back by each way of freeing from any
   thread, and outlive their bucket. */
#include "conformance.h"
#include <dlfcn.h>
#include <sys/wait.h>

#include "buckets.h"

DEFINE_MAKERS(own_makers);

struct odd {
    char bytes[13];
};
struct line {
    _Alignas(64) char bytes[192];
};
struct wide {
    char bytes[40000];
};
typedef union {
    double number;
    char text[56];
} variant;

MALLOW_BUCKET(odd);
MALLOW_BUCKET(line);
MALLOW_BUCKET(wide);
MALLOW_BUCKET_TYPE(variant, variant);
MALLOW_BUCKET_TYPE(char *, name);

static void sizes(void)
{
    struct {
        const char *name;
        size_t size, granted, alignment;
        void *block, *zeroed;
    } blocks[] = {
        {"triple", 24, 24, 8, triple_allocate(), triple_allocate_zeroed()},
        {"five", 40, 40, 8, five_allocate(), five_allocate_zeroed()},
        {"thirty", 240, 240, 8, thirty_allocate(), thirty_allocate_zeroed()},
        {"odd", 13, 16, 1, odd_allocate(), odd_allocate_zeroed()},
        {"line", 192, 192, 64, line_allocate(), line_allocate_zeroed()},
        {"wide", 40000, 40960, 8, wide_allocate(), wide_allocate_zeroed()},
        {"variant", 56, 56, 8, variant_allocate(), variant_allocate_zeroed()},
        {"name", 8, 8, 8, name_allocate(), name_allocate_zeroed()},
    };
    enum { count = sizeof blocks / sizeof *blocks };
    for (size_t i = 0; i < count; i++) {
        size_t size = blocks[i].size;
        CHECK(blocks[i].block && blocks[i].zeroed, "%s: no memory", blocks[i].name);
        CHECK(mallow_usable_size(blocks[i].block) == blocks[i].granted, "%s: %zu bytes", blocks[i].name,
              mallow_usable_size(blocks[i].block));
        CHECK(is_aligned(blocks[i].block, blocks[i].alignment), "%s at %p", blocks[i].name, blocks[i].block);
        CHECK(is_zero(blocks[i].zeroed, size), "%s: not zeros", blocks[i].name);
        fill(blocks[i].block, size, i);
        fill(blocks[i].zeroed, size, i + 100);
    }
    for (size_t i = 0; i < count; i++) {
        size_t size = blocks[i].size;
        CHECK(is_filled(blocks[i].block, size, i) && is_filled(blocks[i].zeroed, size, i + 100), "%s: overwritten",
              blocks[i].name);
        mallow_free(blocks[i].block);
        free(blocks[i].zeroed);
    }
    /* What was full of something else is zeros again. */
    struct five *again = five_allocate_zeroed();
    CHECK(is_zero(again, sizeof *again), "five: not zeros the second time");
    again = mallow_realloc(again, 300);
    CHECK(again && is_zero(again, 40) && mallow_usable_size(again) >= 300, "five: mallow_realloc");
    mallow_free(again);
}

/* What one source file frees, the next one's bucket gives out again: always, but for the moment at which the heap gives
   an idle page back. */
static void are_one(const struct makers *left, const struct makers *right, const char *what)
{
    int equal = 0;
    for (int attempt = 0; attempt < 10 && equal < 4; attempt++) {
        struct triple *triple = left->triple();
        struct five *five = left->five();
        struct thirty *thirty = left->thirty();
        right->free(triple, five, thirty);
        struct triple *next_triple = right->triple();
        struct five *next_five = right->five();
        struct thirty *next_thirty = right->thirty();
        equal = (triple == next_triple) + (five == next_five) + (thirty == next_thirty);
        left->free(next_triple, next_five, next_thirty);
        /* A size that malloc has exactly is malloc's. */
        void *block = malloc(240);
        equal += block == next_thirty;
        free(block);
    }
    CHECK(equal == 4, "%s: %d of 4 blocks are from one class", what, equal);
}

enum { threads = 4, rounds = 3000 };
static _Atomic(struct triple *) handed[64];
static const struct makers *all[3];

static void *use(void *number)
{
    uint64_t state = (uint64_t)(uintptr_t)number;
    for (int round = 0; round < rounds; round++) {
        const struct makers *maker = all[next_random(&state) % 3];
        struct triple *mine = maker->triple();
        struct five *five = maker->five();
        fill(five, sizeof *five, (uint64_t)round);
        mine->first = mine->third = mine;
        struct triple *theirs = atomic_exchange(&handed[next_random(&state) % 64], mine);
        CHECK(!theirs || (theirs->first == theirs && theirs->third == theirs), "another thread's block was overwritten");
        CHECK(is_filled(five, sizeof *five, (uint64_t)round), "a block of 40 bytes was overwritten");
        switch (next_random(&state) % 3) {
        case 0: triple_free(theirs); break;
        case 1: free(theirs); break;
        default: mallow_free(theirs);
        }
        five_free(five);
    }
    return NULL;
}

static void exact(void)
{
    enum { count = 1000000 };
    mallow_trim(0);
    long before = status_kilobytes("VmRSS");
    struct triple *list = NULL;
    for (int i = 0; i < count; i++) {
        struct triple *triple = triple_allocate();
        triple->first = list;
        triple->second = triple->third = triple;
        list = triple;
    }
    long held = status_kilobytes("VmRSS") - before;
    CHECK(held * 1024 < count * 24.6, "a million of 24 bytes hold %ld KiB", held);
    while (list) {
        struct triple *next = list->first;
        if (list->third != list) CHECK(0, "a block was overwritten");
        triple_free(list);
        list = next;
    }
    mallow_trim(0);
    CHECK(status_kilobytes("VmRSS") < before + 2048, "%ld KiB stay", status_kilobytes("VmRSS") - before);
}

int main(int arguments, char **argument)
{
    if (arguments != 2) return 2;
    sizes();
    struct triple *outliving[100];
    for (int round = 0; round < 3; round++) {
        void *library = dlopen(argument[1], RTLD_NOW | RTLD_LOCAL);
        if (!CHECK(library != NULL, "dlopen: %s", dlerror())) return finish();
        all[0] = &own_makers;
        all[1] = &others_makers;
        all[2] = dlsym(library, "plugins_makers");
        are_one(all[0], all[1], "two source files");
        are_one(all[1], all[2], "a program and a library");
        are_one(all[2], all[0], "a library and a program");
        pthread_t ids[threads];
        for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, use, (void *)(uintptr_t)(round * 10 + i));
        for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
        for (int i = 0; i < 64; i++) triple_free(atomic_exchange(&handed[i], NULL));
        for (int i = 0; i < 100; i++) outliving[i] = all[2]->triple();
        CHECK(dlclose(library) == 0, "dlclose failed");
        for (int i = 0; i < 100; i++) triple_free(outliving[i]);
    }
    pid_t child = fork();
    if (child == 0) {
        are_one(&own_makers, &others_makers, "a child");
        _exit(checks_failed != 0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed");
    exact();
    return finish();
}
