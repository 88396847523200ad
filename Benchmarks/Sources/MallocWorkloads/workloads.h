// What main.c and the families of workloads share: the list's entry, the timed part, and failing.
//
// A workload prepares its bookkeeping with `table_make` (straight from the OS, so that the malloc under test serves
// nothing but the workload's blocks), then calls `timed_part_begin`, does about `operations` operations, calls
// `timed_part_end` and returns how many operations it did. An operation is the whole life of one block (allocated,
// written and freed) unless the workload's summary says otherwise.

#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct workload {
    const char *name;
    const char *summary;
    uint64_t operations; // at scale 1
    bool large;          // needs gigabytes: run by its name alone, never as part of "all"
    uint64_t (*run)(uint64_t operations);
};

// Each family ends with an entry without a name.
extern const struct workload small_workloads[];
extern const struct workload small_threads_workloads[];
extern const struct workload random_workloads[];
extern const struct workload growing_workloads[];
extern const struct workload variant_workloads[];
extern const struct workload handoff_workloads[];
extern const struct workload generation_workloads[];
extern const struct workload factorise_workloads[];
extern const struct workload minimise_workloads[];
extern const struct workload nbody_workloads[];
extern const struct workload session_workloads[];
extern const struct workload free_workloads[];
extern const struct workload sharing_workloads[];
extern const struct workload storm_workloads[];

// measurement.c

struct measurement {
    double seconds;
    uint64_t peak_bytes;     // VmHWM of the process at the end of the timed part
    uint64_t baseline_bytes; // VmRSS just before it
};

void timed_part_begin(void);
void timed_part_end(void);
struct measurement measurement_taken(void);

// Zeroed, resident memory straight from the OS, never given back.
void *table_make(size_t element_count, size_t element_size);

// The file that defines the `malloc` which this process calls.
const char *malloc_object(void);

// Prints where code lies in this process: see addresses.c.
void print_addresses(void);

// Ends the process with one line on standard error and status 1. A pointer rather than a va_list: no allocation here.
_Noreturn void fail(const char *what, const void *address, size_t size);

#endif
