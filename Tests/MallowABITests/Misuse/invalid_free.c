/* Pointers handed back that are not the start of a block. */
#include "suite.h"

static char table[4096] __attribute__((aligned(64)));

/* Frees `offset` bytes into a block, which has neighbours. */
static enum verdict inside(size_t size, size_t offset)
{
    struct herd herd = herd_of(size);
    free(hidden(herd.blocks[VICTIM] + offset));
    live_on(size);
    drop(&herd);
    return MISSED;
}

static enum verdict second_field(void) { return inside(64, 8); }
static enum verdict misaligned(void) { return inside(64, 1); }
static enum verdict moved_on(void) { return inside(1000, 500); }
static enum verdict in_medium(void) { return inside(5000, 16); }
static enum verdict in_large(void) { return inside(200 * KiB, 4096); }
static enum verdict past_the_end(void) { return inside(64, 64); }

static enum verdict in_huge(void)
{
    char *block = filled(20 * MiB);
    free(hidden(block + 64 * KiB));
    live_on(20 * MiB);
    free(block);
    return MISSED;
}

static enum verdict this_one(void *pointer)
{
    struct herd herd = herd_of(64);
    free(hidden(pointer));
    live_on(64);
    drop(&herd);
    return MISSED;
}

static enum verdict on_stack(void)
{
    char local[200] = "local";
    return this_one(hidden(local));
}

static enum verdict static_table(void) { return this_one(table); }
static enum verdict literal(void) { return this_one((void *)(uintptr_t)"a literal"); }
static enum verdict environment(void) { return this_one(getenv("PATH")); }
static enum verdict handle(void) { return this_one((void *)0x1234); }

static enum verdict mapping(void)
{
    return this_one(mmap(NULL, 64 * KiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static enum verdict unmapped(void)
{
    char *pages = mmap(NULL, 64 * KiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages, 64 * KiB);
    return this_one(pages + 4096);
}

/* Inside a huge block that was freed, and whose memory is gone. */
static enum verdict in_gone(void)
{
    char *block = filled(40 * MiB);
    free(block);
    malloc_trim(0);
    return this_one(block + 20 * MiB);
}

/* A library's own aligned allocation, which keeps the start before the block, and `free` instead of its own free. */
static enum verdict own_aligned(void)
{
    struct herd herd = herd_of(300);
    char *start = filled(300);
    char *block = (char *)(((uintptr_t)start + sizeof(void *) + 63) & ~(uintptr_t)63);
    ((void **)block)[-1] = start;
    free(hidden(block));
    live_on(300);
    free(start);
    drop(&herd);
    return MISSED;
}

struct record {
    char *name, *value;
};

/* A field that was never set, in memory that a debug build fills. */
static enum verdict never_set(void)
{
    struct herd herd = herd_of(sizeof(struct record));
    struct record *record = (struct record *)herd.blocks[VICTIM];
    memset(record, 0xa5, sizeof *record);
    free(hidden(record->value));
    live_on(sizeof(struct record));
    drop(&herd);
    return MISSED;
}

static enum verdict realloc_inside(void)
{
    struct herd herd = herd_of(128);
    char *volatile moved = realloc(hidden(herd.blocks[VICTIM] + 16), 300);
    live_on(128);
    free(moved);
    drop(&herd);
    return MISSED;
}

static enum verdict realloc_stack(void)
{
    char local[200] = "local";
    char *volatile moved = realloc(hidden(local), 300);
    live_on(128);
    free(moved);
    return MISSED;
}

static enum verdict realloc_freed(size_t size)
{
    struct herd herd = herd_of(100);
    char *block = filled(100);
    free(block);
    char *volatile moved = realloc(hidden(block), size);
    live_on(100);
    if (size > 200) free(moved);
    drop(&herd);
    return MISSED;
}

static enum verdict realloc_freed_grows(void) { return realloc_freed(300); }
static enum verdict realloc_freed_stays(void) { return realloc_freed(90); }

static enum verdict size_of_freed(void)
{
    struct herd herd = herd_of(100);
    char *block = filled(100);
    free(block);
    volatile size_t size = malloc_usable_size(hidden(block));
    live_on(100);
    drop(&herd);
    return size > 0 ? MISSED : HARMLESS;
}

const struct misuse invalid_frees[] = {
    {"free_second_field", "8 bytes into a block of 64", second_field},
    {"free_misaligned", "1 byte into a block of 64", misaligned},
    {"free_moved_on", "the cursor that parsed half of a block of 1000, not its start", moved_on},
    {"free_past_the_end", "the pointer behind a block of 64, where the next one begins", past_the_end},
    {"free_in_medium", "16 bytes into a block of 5000", in_medium},
    {"free_in_large", "4 KiB into a block of 200 KiB", in_large},
    {"free_in_huge", "64 KiB into a block of 20 MiB", in_huge},
    {"free_own_aligned", "what an aligning wrapper made of a block of 300, not the block", own_aligned},
    {"free_stack", "a local array", on_stack},
    {"free_static", "a static array", static_table},
    {"free_literal", "a string literal", literal},
    {"free_environment", "what `getenv` gave", environment},
    {"free_handle", "a small number, cast to a pointer", handle},
    {"free_mapping", "what `mmap` gave", mapping},
    {"free_unmapped", "in what `munmap` took away", unmapped},
    {"free_in_gone", "into a block of 40 MiB that was freed and given back", in_gone},
    {"free_never_set", "a field that was never set, full of 0xa5", never_set},
    {"realloc_inside", "`realloc` of 16 bytes into a block of 128", realloc_inside},
    {"realloc_stack", "`realloc` of a local array", realloc_stack},
    {"realloc_freed_grows", "`realloc` of a freed block of 100 to 300", realloc_freed_grows},
    {"realloc_freed_stays", "`realloc` of a freed block of 100 to 90", realloc_freed_stays},
    {"size_of_freed", "`malloc_usable_size` of a freed block", size_of_freed},
    {NULL, NULL, NULL},
};
