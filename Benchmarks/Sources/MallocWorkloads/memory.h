// The workloads of `--memory`: what a process holds when a burst is over.

#ifndef MEMORY_H
#define MEMORY_H

#include "workloads.h"

struct memory_result {
    uint64_t full_bytes;     // resident at the height of the burst
    uint64_t resident_bytes; // resident after it
    uint64_t least_bytes;    // what live blocks touch, and what the program has besides
    double first_seconds;    // the load, where it is made twice
    double again_seconds;    // the same load into what was left
};

struct memory_workload {
    const char *name;
    const char *summary;
    struct memory_result (*run)(void);
};

// Ends with an entry without a name.
extern const struct memory_workload memory_workloads[];

// measurement.c
uint64_t resident_bytes(void);
void table_drop(void *table, size_t element_count, size_t element_size);

#endif
