/* Makes an exact number of allocations: settings ALLOCATIONS FREES [REMOTE_FREES [signal]]. Blocks have 100 bytes; a
   second thread, which is started whenever the third number is there, frees REMOTE_FREES of them. With "signal" the
   program raises SIGUSR2 on itself and then ends without any exit handler. */
#include "conformance.h"
#include <signal.h>

static void *blocks[100000];
static int first, last;

static void *free_some(void *unused)
{
    for (; first < last; first++) free(blocks[first]);
    return unused;
}

/* The thread has a heap of its own, whatever it frees of the other's. */
static void *other_thread(void *unused)
{
    free(malloc(8));
    return free_some(unused);
}

int main(int count, char **arguments)
{
    if (count < 3) return 2;
    int allocations = atoi(arguments[1]);
    first = last = 0;
    for (int i = 0; i < allocations; i++) blocks[i] = malloc(100);
    last = atoi(arguments[2]);
    free_some(NULL);
    if (count > 3) {
        pthread_t thread;
        last += atoi(arguments[3]);
        if (pthread_create(&thread, NULL, other_thread, NULL) != 0 || pthread_join(thread, NULL) != 0) return 3;
    }
    if (count > 4) {
        raise(SIGUSR2);
        if (write(1, "after the signal\n", 17) != 17) return 4;
        _exit(0);
    }
    return write(1, "done\n", 5) != 5;
}
