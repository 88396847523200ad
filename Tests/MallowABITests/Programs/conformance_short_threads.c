/* A hundred thousand threads, each of which lives for a few blocks of several sizes and hands one of them to a later
   thread: nothing may stay behind, so the process never gets big. */
#include "conformance.h"

enum { threads = 100000, at_once = 4, slots = 64 };

struct head {
    size_t size;
    uint64_t seed;
};

static _Atomic(struct head *) handed[slots];

static void *live(void *number)
{
    static const size_t sizes[] = {8, 24, 100, 500, 2000, 9000, 40000};
    enum { count = sizeof sizes / sizeof *sizes };
    uint64_t state = (uint64_t)(uintptr_t)number << 20;
    char *blocks[count];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(sizes[i]);
        memset(blocks[i], (int)i + 1, sizes[i] < 600 ? sizes[i] : 600);
    }
    size_t size = next_random(&state) % (next_random(&state) % 16 == 0 ? 30000 : 400);
    struct head *gift = malloc(sizeof *gift + size);
    *gift = (struct head){size, state};
    fill(gift + 1, size, state);
    gift = atomic_exchange(&handed[next_random(&state) % slots], gift);
    if (gift != NULL) {
        CHECK(is_filled(gift + 1, gift->size, gift->seed), "a block of a thread that ended was overwritten");
        free(gift);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(blocks[i][0] == (char)(i + 1) && blocks[i][7] == (char)(i + 1), "a block of %zu bytes is spoilt", sizes[i]);
        free(blocks[i]);
    }
    return NULL;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * KiB);
    long early = 0;
    for (int begun = 0; begun < threads; begun += at_once) {
        pthread_t ids[at_once];
        for (int i = 0; i < at_once; i++)
            if (!CHECK(pthread_create(&ids[i], &attributes, live, (void *)(uintptr_t)(begun + i)) == 0,
                       "thread %d cannot be started", begun + i))
                return finish();
        for (int i = 0; i < at_once; i++) pthread_join(ids[i], NULL);
        if (begun == threads / 10) early = status_kilobytes("VmSize");
    }
    long peak = status_kilobytes("VmHWM"), resident = status_kilobytes("VmRSS"), mapped = status_kilobytes("VmSize");
    CHECK(peak > 0 && peak < 64 * 1024, "the process grew to %ld KiB", peak);
    CHECK(resident > 0 && resident < 64 * 1024, "%ld KiB are still resident", resident);
    /* glibc reserves 64 MiB for each of its few arenas. A page a thread would be 360 MiB. */
    CHECK(mapped - early < 300 * 1024, "90,000 threads grew the address space by %ld KiB", mapped - early);
    return finish();
}
