// What allocator-bench compares Mallow's allocators with: malloc, C++'s std::pmr resources and Boost.Pool, each running
// the workloads in loops of its own, compiled as C++, so that nobody pays for a call from one language to another.
#pragma once

#include "CBenchSupport.h"

#ifdef __cplusplus
extern "C" {
#endif

enum bench_workload {
    BENCH_TEMPORARY,
    BENCH_GROW_SHRINK,
    BENCH_LADDER,
    BENCH_LADDER_GROW,
    BENCH_ARENA_REUSED,
    BENCH_ARENA_NEW,
    BENCH_RANDOM_ORDER,
    BENCH_RANDOM_REPLACE,
    BENCH_TREE,
};

/// The nodes of the tree that BENCH_TREE builds.
struct bench_node {
    struct bench_node *left;
    struct bench_node *right;
    uint64_t key;
};

/// How many rivals run a workload.
size_t bench_rival_count(enum bench_workload workload);
struct bench_entry bench_rival_entry(enum bench_workload workload, size_t index);

/// The version of Boost that was found, such as "1_74"; NULL where it is not installed.
const char *bench_boost_version(void);

#ifdef __cplusplus
}
#endif
