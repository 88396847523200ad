// Preloaded into traced runs: clocks that go a thousand times slower. A trace takes about a thousand times as long as
// the run, and what a malloc does after some time would come a thousand times as often.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0) {
        long long microseconds = (long long)now->tv_sec * 1000000 + now->tv_nsec / 1000; // nanoseconds of the slow clock
        now->tv_sec = microseconds / 1000000000;
        now->tv_nsec = microseconds % 1000000000;
    }
    return result;
}
