// What slab-bench compares Mallow's slab arenas with, as far as it is C++: malloc, malloc with an atomic count beside
// the data, and std::shared_ptr of an array; each runs the workloads in loops of its own, compiled as C++.
#pragma once

#include "CBenchSupport.h"

#ifdef __cplusplus
extern "C" {
#endif

enum slab_workload {
    /// A reference to one block is added and released.
    SLAB_REFERENCE,
    /// The same, of a random block of `block_count`.
    SLAB_REFERENCE_RANDOM,
    /// A block of sizes[0] bytes, allocated and released.
    SLAB_ALLOCATE,
    /// `block_count` blocks of sizes[0] bytes, then all released in order.
    SLAB_ALLOCATE_LIVE,
    /// A block, allocated and released; sizes one after the other.
    SLAB_SIZES,
    /// A chain of `block_count` blocks is built, and released by its head.
    SLAB_CHAIN,
    /// From what stands for a block, and tells when it is gone, to a random block of `block_count`.
    SLAB_BUFFER_AT_LOCATION,
    /// The reverse.
    SLAB_LOCATION_OF_BUFFER,
};

/// The bytes of a block where a workload has no sizes.
enum { SLAB_BLOCK_SIZE = 128 };

/// How many rivals run a workload.
size_t slab_rival_count(enum slab_workload workload);
struct bench_entry slab_rival_entry(enum slab_workload workload, size_t index);

#ifdef __cplusplus
}
#endif
