/* Blocks that grow while another thread maps memory of its own: growing may move pages about, and must leave no moment in
   which it takes what the other thread has just mapped. */
#include "conformance.h"
#include <sys/mman.h>
#include <time.h>

static _Atomic int is_over;

/* Keeps a ring of mappings, each as large as the hole that a moved block could leave, and looks at all of it. */
static void *map_and_look(void *unused)
{
    enum { count = 256, size = 256 << 10 };
    static unsigned char *mapped[count];
    (void)unused;
    for (unsigned long round = 0; !is_over; round++) {
        unsigned char **slot = &mapped[round % count];
        if (*slot != NULL) munmap(*slot, size);
        *slot = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (*slot == MAP_FAILED) *slot = NULL;
        if (*slot != NULL) **slot = 0xa5;
        for (int i = 0; i < count; i += 17)
            if (mapped[i] != NULL) CHECK(*mapped[i] == 0xa5, "a mapping of the program's was replaced");
    }
    return NULL;
}

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, map_and_look, NULL);
    double start = seconds();
    unsigned long round = 0;
    while (seconds() - start < 3) {
        enum { count = 8 };
        unsigned char *blocks[count];
        for (int i = 0; i < count; i++) {
            blocks[i] = malloc(320 * KiB);
            if (CHECK(blocks[i] != NULL, "no 320 KiB")) fill(blocks[i], 320 * KiB, round + (unsigned)i);
        }
        for (int i = 0; i < count; i++) {
            if (blocks[i] == NULL) continue;
            unsigned char *grown = realloc(blocks[i], 900 * KiB);
            if (CHECK(grown != NULL, "no 900 KiB")) {
                CHECK(is_filled(grown, 320 * KiB, round + (unsigned)i), "contents were lost while growing");
                grown[900 * KiB - 1] = 1;
                blocks[i] = grown;
            }
        }
        for (int i = 0; i < count; i++) free(blocks[i]);
        round++;
    }
    is_over = 1;
    pthread_join(thread, NULL);
    return finish();
}
