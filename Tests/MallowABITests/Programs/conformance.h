/* What the conformance programs share: checks that print one line each when they fail, contents that tell whose block
   it is, a seeded generator, and a look into /proc. Nothing here allocates: the lines go straight to descriptor 1.

   A program ends with `return finish();`, which prints how many checks were made; none at all is a failure too. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)

static _Atomic unsigned long checks_made;
static _Atomic unsigned long checks_failed;

__attribute__((format(printf, 2, 3))) static inline void check_failed(int line, const char *format, ...)
{
    if (atomic_fetch_add(&checks_failed, 1) >= 20) return;
    char text[400];
    int length = snprintf(text, sizeof text, "line %d: ", line);
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(text + length, sizeof text - (size_t)length - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof text - 2) length = (int)sizeof text - 2;
    text[length] = '\n';
    if (write(1, text, (size_t)length + 1) < 0) abort();
}

/* Returns whether the condition holds, so that what depends on it can be left out. */
#define CHECK(condition, ...)                                                              \
    ({                                                                                     \
        int holds_ = (condition) != 0;                                                     \
        atomic_fetch_add_explicit(&checks_made, 1, memory_order_relaxed);                  \
        if (!holds_) check_failed(__LINE__, __VA_ARGS__);                                  \
        holds_;                                                                            \
    })

static inline int finish(void)
{
    char text[100];
    int length = snprintf(text, sizeof text, "%lu checks, %lu failed\n", checks_made, checks_failed);
    if (write(1, text, (size_t)length) != length) abort();
    return checks_failed != 0 || checks_made == 0;
}

static inline int is_aligned(const void *pointer, size_t alignment)
{
    return ((uintptr_t)pointer & (alignment - 1)) == 0;
}

/* What malloc owes a block of this size: 16 bytes from 16 on, 8 below. */
static inline size_t promised_alignment(size_t size)
{
    return size >= 16 ? 16 : 8;
}

static inline uint64_t mixed(uint64_t value)
{
    value *= 0x9e3779b97f4a7c15u;
    value ^= value >> 29;
    value *= 0xbf58476d1ce4e5b9u;
    return value ^ value >> 32;
}

static inline uint64_t next_random(uint64_t *state)
{
    return mixed(++*state);
}

/* Every byte up to 1 MiB depends on its place and on the seed. Beyond, one word in 4 KiB does, so that big blocks can
   be checked without touching all of them. */
#define FILLED_IN_FULL MiB

static inline uint8_t byte_at(size_t offset, uint64_t seed)
{
    return (uint8_t)(mixed(seed + (offset >> 3)) >> (offset & 7) * 8);
}

static inline void fill(void *block, size_t size, uint64_t seed)
{
    uint8_t *bytes = block;
    size_t full = size < FILLED_IN_FULL ? size : FILLED_IN_FULL, offset = 0;
    for (; offset + 8 <= full; offset += 8) {
        uint64_t word = mixed(seed + (offset >> 3));
        memcpy(bytes + offset, &word, 8);
    }
    for (; offset < full; offset++) bytes[offset] = byte_at(offset, seed);
    for (offset = full; offset < size; offset += 4096) bytes[offset] = byte_at(offset, seed);
    if (size > full) bytes[size - 1] = byte_at(size - 1, seed);
}

/* Whether the first `size` bytes still are as `fill` left them, in a block that was filled for at least that size. */
static inline int is_filled(const void *block, size_t size, uint64_t seed)
{
    const uint8_t *bytes = block;
    size_t full = size < FILLED_IN_FULL ? size : FILLED_IN_FULL, offset = 0;
    for (; offset + 8 <= full; offset += 8) {
        uint64_t word = mixed(seed + (offset >> 3)), found;
        memcpy(&found, bytes + offset, 8);
        if (found != word) return 0;
    }
    for (; offset < full; offset++)
        if (bytes[offset] != byte_at(offset, seed)) return 0;
    for (offset = full; offset < size; offset += 4096)
        if (bytes[offset] != byte_at(offset, seed)) return 0;
    return 1;
}

static inline int is_zero(const void *block, size_t size)
{
    const uint8_t *bytes = block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* A line of /proc/self/status, in KiB: "VmRSS", "VmHWM", "VmSize". */
static inline long status_kilobytes(const char *key)
{
    char line[200];
    long found = -1;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return -1;
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':') found = atol(line + strlen(key) + 1);
    fclose(status);
    return found;
}

#endif
