// The functions of CBenchSupport.h.

#include "rival.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <thread>
#include <vector>

void bench_rival_destroy(bench_rival *rival) { delete rival; }

uint64_t bench_rival_run(bench_rival *rival, const bench_input *input) { return rival->run(*input); }

uint64_t bench_rival_bytes_when_full(bench_rival *rival, const bench_input *input) {
    return rival->bytes_when_full(*input);
}

void bench_rival_extras(bench_rival *rival, const bench_input *input, double *extras) { rival->extras(*input, extras); }

uint64_t bench_malloc_bytes() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    const struct mallinfo2 information = mallinfo2();
    return information.uordblks + information.hblkhd;
#else
    return 0;
#endif
}

void bench_malloc_keeps_no_large_blocks() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
}

uint64_t bench_in_threads(size_t count, void (*body)(void *, size_t), void *context) {
    auto now = [] {
        timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return uint64_t(time.tv_sec) * 1000000000u + uint64_t(time.tv_nsec);
    };
    std::barrier<> ready{ptrdiff_t(count)};
    std::vector<uint64_t> starts(count), ends(count);
    std::vector<std::thread> threads;
    for (size_t number = 0; number < count; number++) {
        threads.emplace_back([&, number] {
            ready.arrive_and_wait();
            starts[number] = now();
            body(context, number);
            ends[number] = now();
        });
    }
    for (std::thread &thread : threads) thread.join();
    return *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
}

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
