/* Sizes and alignments that are not the block's, told to the functions of C23 that take them: `free_sized` and
   `free_aligned_sized`. The C library may lack them. */
#include "suite.h"

extern void free_sized(void *block, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t size) __attribute__((weak));

static enum verdict told(size_t size, size_t wrong)
{
    if (free_sized == NULL) return ABSENT;
    struct herd herd = herd_of(size);
    char *block = herd.blocks[VICTIM];
    herd.blocks[VICTIM] = NULL;
    free_sized(block, hidden_size(wrong));
    live_on(size);
    drop(&herd);
    return MISSED;
}

static enum verdict half(void) { return told(100, 50); }
static enum verdict twice(void) { return told(100, 200); }
static enum verdict of_pointer(void) { return told(96, sizeof(void *)); }
static enum verdict without_zero(void) { return told(65, 64); }
static enum verdict without_zero_within(void) { return told(101, 100); }
static enum verdict base_class(void) { return told(240, 80); }
static enum verdict one_of_ten(void) { return told(240, 24); }
static enum verdict bits_for_bytes(void) { return told(512, 4096); }
static enum verdict large_half(void) { return told(200000, 100000); }
static enum verdict large_off_by_one(void) { return told(200001, 200000); }

static enum verdict huge_half(void)
{
    if (free_sized == NULL) return ABSENT;
    free_sized(filled(20 * MiB), hidden_size(10 * MiB));
    live_on(20 * MiB);
    return MISSED;
}

/* The size from before `realloc`. */
static enum verdict before_realloc(void)
{
    if (free_sized == NULL) return ABSENT;
    struct herd herd = herd_of(100);
    char *block = realloc(filled(100), 1000);
    free_sized(block, hidden_size(100));
    live_on(100);
    drop(&herd);
    return MISSED;
}

static enum verdict aligned(size_t size, size_t alignment, size_t wrong_size, size_t wrong_alignment)
{
    if (free_aligned_sized == NULL) return ABSENT;
    void *blocks[HERD];
    for (int i = 0; i < HERD; i++) blocks[i] = aligned_alloc(alignment, size);
    /* One that the wrong alignment does not fit, if there is any. */
    int chosen = 0;
    for (int i = 0; i < HERD; i++)
        if ((uintptr_t)blocks[i] % wrong_alignment != 0) chosen = i;
    free_aligned_sized(blocks[chosen], wrong_alignment, hidden_size(wrong_size));
    blocks[chosen] = NULL;
    live_on(size);
    for (int i = 0; i < HERD; i++) free(blocks[i]);
    return MISSED;
}

static enum verdict aligned_size(void) { return aligned(256, 64, 1024, 64); }
static enum verdict aligned_alignment(void) { return aligned(192, 64, 192, 256); }

const struct misuse mismatched_sizes[] = {
    {"sized_half", "a block of 100 freed as one of 50", half},
    {"sized_twice", "a block of 100 freed as one of 200", twice},
    {"sized_pointer", "a block of 96 freed by the size of a pointer to it", of_pointer},
    {"sized_without_zero", "a string of 64 characters and a zero, freed as 64", without_zero},
    {"sized_without_zero_101", "a string of 100 characters and a zero, freed as 100", without_zero_within},
    {"sized_base", "an object of 240 freed by the size of its base, 80", base_class},
    {"sized_one_of_ten", "an array of 10 elements of 24 freed as one element", one_of_ten},
    {"sized_bits", "a block of 512 bytes freed by its size in bits", bits_for_bytes},
    {"sized_large_half", "a block of 200000 freed as one of 100000", large_half},
    {"sized_large_by_one", "a block of 200001 freed as one of 200000", large_off_by_one},
    {"sized_huge_half", "a block of 20 MiB freed as one of 10 MiB", huge_half},
    {"sized_before_realloc", "a block of 1000 freed by its size before `realloc`, 100", before_realloc},
    {"sized_aligned_size", "an aligned block of 256 freed as one of 1024", aligned_size},
    {"sized_aligned_alignment", "a block aligned to 64 freed as aligned to 256", aligned_alignment},
    {NULL, NULL, NULL},
};
