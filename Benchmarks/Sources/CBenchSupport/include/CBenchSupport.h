// What the contestants of the benchmarks in one process share, whichever language their loops are in: the clock, the
// sink, what a workload works on, a rival as C++ has it, and a child process for each measurement.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What a run of a workload needs: the same memory for every contestant, made and touched before.
struct bench_input {
    /// How often the workload's step is done.
    size_t count;
    /// The sizes of the requests, over and over.
    const uint32_t *sizes;
    size_t size_count;
    /// A random order: of blocks to free, or of slots to replace.
    const uint32_t *order;
    /// Room for the addresses of the live blocks.
    void **blocks;
    size_t block_count;
    /// How much there is to share out, where a workload says.
    uint64_t space;
};

/// A contestant whose loops are in C++ (rival.hpp), with the memory that it keeps from run to run.
struct bench_rival;

/// A rival that can be made: nothing is, before it runs in a process of its own.
struct bench_entry {
    /// "glibc", "std::pmr", "Boost.Pool", …
    const char *name;
    struct bench_rival *(*make)(void);
    /// Whether the table has a column of ratios to it.
    bool has_column;
};

void bench_rival_destroy(struct bench_rival *rival);
/// Runs the workload once; returns the nanoseconds that its loop took.
uint64_t bench_rival_run(struct bench_rival *rival, const struct bench_input *input);
/// Fills up with blocks, and frees them; returns what they took of malloc.
uint64_t bench_rival_bytes_when_full(struct bench_rival *rival, const struct bench_input *input);

enum { BENCH_EXTRA_COUNT = 4 };
/// Runs the workload once for what else there is to tell of it than times: up to BENCH_EXTRA_COUNT figures.
void bench_rival_extras(struct bench_rival *rival, const struct bench_input *input, double *extras);

/// Bytes that are allocated from malloc now, malloc's own headers included; 0 where malloc does not tell.
uint64_t bench_malloc_bytes(void);

/// From now on malloc gives blocks of 128 KiB and more back to the system when they are freed. Otherwise it learns to
/// keep them, and memory that is allocated is not new.
void bench_malloc_keeps_no_large_blocks(void);

/// What a child process tells.
struct bench_result {
    uint64_t nanoseconds;
    uint64_t bytes;
    double extras[BENCH_EXTRA_COUNT];
};

/// Calls `body` in a child process, whose malloc begins as this process's is now: nothing that one contestant leaves in
/// the heap reaches another. Returns false if the child did not end well.
bool bench_in_child(
    void (*body)(void *context, struct bench_result *result), void *context, struct bench_result *result);

/// The processor time of this thread, the kernel's part included (page faults), in nanoseconds: what others do with the
/// processor meanwhile does not count.
static inline uint64_t bench_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// Calls `body` in so many threads at once, each with a number from 0; returns the nanoseconds from when the first
/// began until the last ended, by the clock on the wall.
uint64_t bench_in_threads(size_t count, void (*body)(void *context, size_t number), void *context);

/// Makes the compiler believe that the value is used; memory is as it was.
static inline void bench_keep(uint64_t value) {
    __asm__ volatile("" : : "r"(value));
}

/// Makes the compiler believe that the block is used and that all of memory may have changed: it can neither remove
/// the allocation nor keep what it read before.
static inline void bench_sink(const void *block) {
    __asm__ volatile("" : : "r"(block) : "memory");
}

#ifdef __cplusplus
}
#endif
