/* Programs that misuse malloc, one error each. A case sets up what a program of its kind has, commits its error, lives
   on for thousands of allocations and frees, gives back what it holds, and says how it went:

     MISSED     nothing stopped it: the error is for its user to find
     HARMLESS   the error did no harm, by design: what was read was zero, or nothing of what had been there
     ABSENT     the malloc has no such function

   What a malloc does about an error ends the process before that, with a line on standard error. The errors are those
   that programs make; no case knows how a malloc lays out its memory, beyond that blocks of one size lie near each
   other.

   `hidden` keeps the compiler from seeing the error: it would warn of it, or remove it. */
#ifndef MISUSE_SUITE_H
#define MISUSE_SUITE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)

enum verdict { HARMLESS = 0, MISSED = 10, ABSENT = 77 };

struct misuse {
    const char *name, *description;
    enum verdict (*commit)(void);
};

/* Each ends with an entry without a name. `innocents` is no kind of error: nothing may be said of those. */
extern const struct misuse double_frees[], invalid_frees[], out_of_bounds[], after_free[], mismatched_sizes[],
    dirty_reads[], overwritten_metadata[], innocents[];

static inline void *hidden(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static inline size_t hidden_size(size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

/* A block with something in it, as one in use has. */
static inline char *filled(size_t size)
{
    char *block = malloc(size);
    if (block == NULL) _exit(3);
    memset(block, 0x41, size);
    return hidden(block);
}

/* Objects of one size, as a program has them: a list's nodes, a table's rows. */
enum { HERD = 64, VICTIM = HERD / 2 };

struct herd {
    char *blocks[HERD];
    size_t size;
};

struct herd herd_of(size_t size);
/* Frees each second one, so that the victim has free neighbours. */
void thin_out(struct herd *herd);
/* Frees what is left, the victim included. */
void drop(struct herd *herd);

/* The program goes on: thousands of allocations and frees, most of them of about `size`. The same ones each time. */
void live_on(size_t size);

/* Runs on another thread, to its end. */
void on_a_thread(void *(*work)(void *), void *argument);
void *free_it(void *block);

/* Whether any of the bytes is one of `filled`. */
int holds_old_bytes(const volatile char *bytes, size_t count);
int is_zero(const volatile char *bytes, size_t count);

#endif
