// What range-bench compares Mallow's range allocators with: trees of the free ranges, by offset and by size, in C++'s
// standard library and in Boost.Intrusive, and the virtual blocks of AMD's Vulkan Memory Allocator.
#pragma once

#include "CBenchSupport.h"

#ifdef __cplusplus
extern "C" {
#endif

enum range_workload {
    /// A range is allocated in an empty space, and freed.
    RANGE_ONE,
    /// `block_count` ranges are allocated, then freed in order.
    RANGE_FILL,
    /// `block_count` ranges live; a random one is freed, and one allocated in its place.
    RANGE_RANDOM,
    /// The place of the next range is looked up among those.
    RANGE_FIND,
    /// How much is free, and the largest free range, among those.
    RANGE_FREE_SIZE,
};

/// A run of RANGE_RANDOM is preceded by so many that are not timed, so that the free ranges are those of a space that
/// has been used.
enum { RANGE_RUNS_BEFORE = 4 };

/// How many rivals run a workload.
size_t range_rival_count(enum range_workload workload);
struct bench_entry range_rival_entry(enum range_workload workload, size_t index);

/// The version of Boost, or NULL where the program was built without.
const char *range_boost_version(void);
/// Whether the program was built with the Vulkan Memory Allocator.
bool range_has_vma(void);

#ifdef __cplusplus
}
#endif
