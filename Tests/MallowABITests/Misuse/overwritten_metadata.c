/* What most mallocs keep in and before blocks, overwritten: by mistake, or as an attacker does who can write there. */
#include "suite.h"

static char target[256] __attribute__((aligned(64)));

/* Two freed blocks, and what is written into the first word of the second. Then the program goes on; it must not be
   given `forbidden`. */
static enum verdict link_becomes(uintptr_t value, char *forbidden)
{
    struct herd herd = herd_of(64);
    char *first = filled(64), *second = filled(64);
    free(first);
    free(second);
    *(volatile uintptr_t *)hidden(second) = value;
    char *given[8];
    enum verdict verdict = MISSED;
    for (int i = 0; i < 8; i++) {
        given[i] = malloc(64);
        if (given[i] == forbidden) return MISSED;
        memset(given[i], 0x43, 64);
    }
    live_on(64);
    for (int i = 0; i < 8; i++) free(given[i]);
    drop(&herd);
    return verdict;
}

static enum verdict link_to_stack(void)
{
    char local[256] __attribute__((aligned(64)));
    return link_becomes((uintptr_t)hidden(local), local);
}

static enum verdict link_to_static(void) { return link_becomes((uintptr_t)target, target); }
static enum verdict link_to_nothing(void) { return link_becomes(0, NULL); }

/* A live block of the same size, which would then be two owners'. */
static enum verdict link_to_live(void)
{
    struct herd herd = herd_of(64);
    return link_becomes((uintptr_t)herd.blocks[VICTIM], herd.blocks[VICTIM]);
}

struct object {
    long references;
    long rest[7];
};

/* What is done to a freed object. */
static enum verdict done_to_freed(void (*change)(struct object *))
{
    struct herd herd = herd_of(sizeof(struct object));
    struct object *objects[10];
    for (int i = 0; i < 10; i++) objects[i] = (struct object *)filled(sizeof(struct object));
    for (int i = 0; i < 10; i++) free(objects[i]);
    for (int i = 4; i < 6; i++) change(hidden(objects[i]));
    live_on(sizeof(struct object));
    drop(&herd);
    return MISSED;
}

static void release(struct object *object) { ((volatile struct object *)object)->references -= 1; }
static void clear_flag(struct object *object) { *(volatile char *)object = 0; }
static void set_kind(struct object *object) { *(volatile uint16_t *)object = 7; }
static void clear_name(struct object *object) { *(void *volatile *)object = NULL; }
static enum verdict released(void) { return done_to_freed(release); }
static enum verdict flag(void) { return done_to_freed(clear_flag); }
static enum verdict kind(void) { return done_to_freed(set_kind); }
static enum verdict name(void) { return done_to_freed(clear_name); }

/* One freed object assigned to another. */
static enum verdict copied(void)
{
    struct herd herd = herd_of(sizeof(struct object)), others = herd_of(sizeof(struct object));
    char *from = others.blocks[10], *to = others.blocks[20];
    drop(&others);
    memcpy(hidden(to), hidden(from), sizeof(struct object));
    live_on(sizeof(struct object));
    drop(&herd);
    return MISSED;
}

/* A name that is longer than its field, copied over the freed block behind it. */
static enum verdict long_name(void)
{
    struct herd herd = herd_of(32);
    thin_out(&herd);
    strcpy(hidden(herd.blocks[VICTIM]), "a name that is longer than thirty-two characters");
    live_on(32);
    drop(&herd);
    return MISSED;
}

/* A loop without an end that is met, over many blocks and pages. */
static enum verdict runaway(void)
{
    struct herd herd = herd_of(1000);
    thin_out(&herd);
    memset(hidden(herd.blocks[VICTIM]), 0x5a, 20000);
    live_on(1000);
    drop(&herd);
    return MISSED;
}

/* Where other mallocs keep a block's size. */
static enum verdict header(size_t size)
{
    struct herd herd = herd_of(size);
    ((volatile size_t *)hidden(herd.blocks[VICTIM]))[-1] = 0x1001;
    free(herd.blocks[VICTIM]);
    herd.blocks[VICTIM] = NULL;
    live_on(size);
    drop(&herd);
    return MISSED;
}

static enum verdict header_small(void) { return header(56); }
static enum verdict header_large(void) { return header(150000); }

/* A made-up block with a made-up size before it. */
static enum verdict made_up(void)
{
    size_t words[40] __attribute__((aligned(64))) = {0};
    words[7] = words[15] = words[23] = 0x41;
    free(hidden(&words[8]));
    char *volatile given = malloc(56);
    live_on(56);
    free(given);
    return MISSED;
}

static struct herd others;

static void *free_some(void *unused)
{
    for (int i = 0; i < HERD; i += 4) {
        free(others.blocks[i]);
    }
    return unused;
}

/* Blocks that another thread freed, and that the owner has not got back yet. */
static enum verdict freed_by_a_thread(void)
{
    others = herd_of(96);
    on_a_thread(free_some, NULL);
    for (int i = 8; i < HERD; i += 4) ((volatile uintptr_t *)hidden(others.blocks[i]))[0] = (uintptr_t)target;
    for (int i = 0; i < HERD; i += 4) others.blocks[i] = NULL;
    live_on(96);
    drop(&others);
    return MISSED;
}

const struct misuse overwritten_metadata[] = {
    {"link_to_stack", "a freed block made to link to a local array", link_to_stack},
    {"link_to_static", "a freed block made to link to a static array", link_to_static},
    {"link_to_live", "a freed block made to link to a live one", link_to_live},
    {"link_to_nothing", "the first word of a freed block cleared", link_to_nothing},
    {"freed_released", "a count of references of freed objects counted down", released},
    {"freed_flag", "a flag in the first byte of freed objects cleared", flag},
    {"freed_kind", "a number in the first 2 bytes of freed objects set", kind},
    {"freed_name", "a pointer at the start of freed objects cleared", name},
    {"freed_copied", "a freed object assigned to another freed one", copied},
    {"freed_by_thread_linked", "blocks that another thread freed made to link to a static array", freed_by_a_thread},
    {"long_name", "a name of 49 bytes copied into 32, over a free neighbour", long_name},
    {"runaway", "20000 bytes written over blocks of 1000, each second one free", runaway},
    {"header_56", "the word before a block of 56 overwritten, then the block freed", header_small},
    {"header_150000", "the word before a block of 150000 overwritten, then the block freed", header_large},
    {"made_up_block", "a made-up block with a header, on the stack, freed", made_up},
    {NULL, NULL, NULL},
};
