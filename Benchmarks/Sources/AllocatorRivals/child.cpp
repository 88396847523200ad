// A child process for each measurement.

#include "rivals.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

bool bench_in_child(void (*body)(void *, bench_result *), void *context, bench_result *result) {
    void *shared = mmap(nullptr, sizeof(bench_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return false;
    const pid_t child = fork();
    if (child == 0) {
        body(context, static_cast<bench_result *>(shared));
        _exit(0);
    }
    int status = -1;
    const bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                       WEXITSTATUS(status) == 0;
    if (ended) *result = *static_cast<bench_result *>(shared);
    munmap(shared, sizeof(bench_result));
    return ended;
}
