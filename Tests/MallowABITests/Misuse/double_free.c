/* Blocks that are freed twice: at once, later, in other ways, and by others. */
#include "suite.h"

static enum verdict twice(size_t size)
{
    struct herd herd = herd_of(size);
    char *block = filled(size);
    free(block);
    free(hidden(block));
    live_on(size);
    drop(&herd);
    return MISSED;
}

static enum verdict small(void) { return twice(24); }
static enum verdict kilobyte(void) { return twice(1000); }
static enum verdict medium(void) { return twice(5000); }
static enum verdict large(void) { return twice(200 * KiB); }

static enum verdict huge(void)
{
    char *block = filled(20 * MiB);
    free(block);
    free(hidden(block));
    live_on(20 * MiB);
    return MISSED;
}

static enum verdict aligned(void)
{
    void *block = NULL;
    if (posix_memalign(&block, 64, 200) != 0) return 3;
    free(block);
    free(hidden(block));
    live_on(200);
    return MISSED;
}

static enum verdict zeroed(void)
{
    void *block = calloc(10, 32);
    free(block);
    free(hidden(block));
    live_on(320);
    return MISSED;
}

static enum verdict after_another(void)
{
    struct herd herd = herd_of(48);
    char *first = filled(48), *second = filled(48);
    free(first);
    free(second);
    free(hidden(first));
    live_on(48);
    drop(&herd);
    return MISSED;
}

static enum verdict after_many(void)
{
    struct herd herd = herd_of(96), others = herd_of(96);
    char *block = filled(96);
    free(block);
    drop(&others);
    free(hidden(block));
    live_on(96);
    drop(&herd);
    return MISSED;
}

/* The pointer from before a `realloc` that moved the block. */
static enum verdict after_realloc(void)
{
    struct herd herd = herd_of(100);
    char *block = filled(100), *old = hidden(block);
    block = realloc(block, 4000);
    free(hidden(old));
    live_on(100);
    free(block);
    drop(&herd);
    return MISSED;
}

static enum verdict after_realloc_to_nothing(void)
{
    struct herd herd = herd_of(100);
    char *block = filled(100);
    void *volatile nothing = realloc(block, hidden_size(0));
    free(hidden(block));
    live_on(100);
    drop(&herd);
    return nothing == NULL ? MISSED : 3;
}

static enum verdict then_by_a_thread(void)
{
    struct herd herd = herd_of(80);
    char *block = filled(80);
    free(block);
    on_a_thread(free_it, hidden(block));
    live_on(80);
    drop(&herd);
    return MISSED;
}

static enum verdict first_by_a_thread(void)
{
    struct herd herd = herd_of(80);
    char *block = filled(80);
    on_a_thread(free_it, block);
    free(hidden(block));
    live_on(80);
    drop(&herd);
    return MISSED;
}

enum { RACED = 2000 };
static char *raced[RACED];
static pthread_barrier_t together;

static void *free_all(void *unused)
{
    pthread_barrier_wait(&together);
    for (int i = 0; i < RACED; i++) free(hidden(raced[i]));
    return unused;
}

/* Two threads that both think they own a list. */
static enum verdict by_two_threads(void)
{
    for (int i = 0; i < RACED; i++) raced[i] = filled(64);
    pthread_barrier_init(&together, NULL, 2);
    pthread_t thread;
    pthread_create(&thread, NULL, free_all, NULL);
    free_all(NULL);
    pthread_join(thread, NULL);
    live_on(64);
    return MISSED;
}

static enum verdict after_memory_went_back(void)
{
    enum { COUNT = 3000 };
    static char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) blocks[i] = filled(200);
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    malloc_trim(0);
    free(hidden(blocks[COUNT / 2]));
    live_on(200);
    return MISSED;
}

/* Somebody else has the block by now; in the end he frees it too. */
static enum verdict after_reuse(void)
{
    struct herd herd = herd_of(64);
    char *block = filled(64);
    free(block);
    char *others = filled(64);
    free(hidden(block));
    live_on(64);
    free(others);
    drop(&herd);
    return MISSED;
}

static enum verdict long_after(void)
{
    struct herd herd = herd_of(64);
    char *block = filled(64);
    free(block);
    live_on(64);
    free(hidden(block));
    live_on(64);
    drop(&herd);
    return MISSED;
}

struct node {
    struct node *next;
    char payload[40];
};

/* A list that is in two tables, both of which are cleared. */
static enum verdict list_twice(void)
{
    struct node *nodes[20];
    for (int i = 0; i < 20; i++) nodes[i] = (struct node *)filled(sizeof(struct node));
    for (int i = 0; i < 20; i++) nodes[i]->next = i < 19 ? nodes[i + 1] : NULL;
    for (int time = 0; time < 2; time++)
        for (int i = 0; i < 20; i++) free(hidden(nodes[i]));
    live_on(sizeof(struct node));
    return MISSED;
}

const struct misuse double_frees[] = {
    {"twice_24", "a block of 24 bytes, freed again at once", small},
    {"twice_1000", "a block of 1000 bytes, freed again at once", kilobyte},
    {"twice_5000", "a block of 5000 bytes, freed again at once", medium},
    {"twice_200KiB", "a block of 200 KiB, freed again at once", large},
    {"twice_20MiB", "a block of 20 MiB, freed again at once", huge},
    {"twice_aligned", "a block from `posix_memalign`, freed again at once", aligned},
    {"twice_calloc", "a block from `calloc`, freed again at once", zeroed},
    {"twice_after_another", "freed again after another block of its size", after_another},
    {"twice_after_many", "freed again after 64 others of its size", after_many},
    {"twice_after_realloc", "the old pointer freed after `realloc` moved the block", after_realloc},
    {"twice_after_realloc_0", "freed after `realloc` to 0 freed it", after_realloc_to_nothing},
    {"twice_then_by_a_thread", "freed, then once more by another thread", then_by_a_thread},
    {"twice_first_by_a_thread", "freed by another thread, then by the one that allocated it", first_by_a_thread},
    {"twice_by_two_threads", "2000 blocks, freed by two threads at the same time", by_two_threads},
    {"twice_memory_gone", "freed again after all around it was freed and given back", after_memory_went_back},
    {"twice_after_reuse", "freed again when another has the block, who frees it later", after_reuse},
    {"twice_long_after", "freed again after 6000 other calls", long_after},
    {"twice_list", "a list of 20 nodes, freed through two heads", list_twice},
    {NULL, NULL, NULL},
};
