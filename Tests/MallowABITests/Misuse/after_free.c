/* Blocks that are written to and read from after they were freed. A write is noticed, if at all, when the block is
   given out again; a read does no harm where nothing of what was there is left to be read. */
#include "suite.h"

/* Writes `count` bytes at `offset` of a freed block. */
static enum verdict write_at(size_t size, size_t offset, size_t count, int byte)
{
    struct herd herd = herd_of(size);
    char *block = filled(size);
    free(block);
    memset(hidden(block + offset), byte, count);
    live_on(size);
    drop(&herd);
    return MISSED;
}

static enum verdict first_word(void) { return write_at(64, 0, 8, 0x5a); }
static enum verdict count_to_zero(void) { return write_at(48, 0, 4, 0); }
static enum verdict second_word(void) { return write_at(64, 8, 8, 0x5a); }
static enum verdict all_of_it(void) { return write_at(128, 0, 128, 0); }
static enum verdict last_byte(void) { return write_at(1000, 999, 1, 0); }
static enum verdict medium_first(void) { return write_at(5000, 0, 16, 0x5a); }
static enum verdict medium_middle(void) { return write_at(5000, 2500, 100, 0x5a); }
static enum verdict large_middle(void) { return write_at(200 * KiB, 100 * KiB, 100, 0x5a); }

static enum verdict huge_first(void)
{
    char *block = filled(20 * MiB);
    free(block);
    memset(hidden(block), 0x5a, 64);
    live_on(20 * MiB);
    return MISSED;
}

static enum verdict by_a_thread(void)
{
    struct herd herd = herd_of(72);
    char *block = filled(72);
    on_a_thread(free_it, block);
    memset(hidden(block), 0x5a, 72);
    live_on(72);
    drop(&herd);
    return MISSED;
}

/* Through an old pointer, into what another has by now. */
static enum verdict write_after_reuse(void)
{
    struct herd herd = herd_of(64);
    char *block = filled(64);
    free(block);
    char *others = filled(64);
    memset(hidden(block), 0x5a, 64);
    live_on(64);
    free(others);
    drop(&herd);
    return MISSED;
}

static enum verdict write_long_after(void)
{
    struct herd herd = herd_of(64);
    char *block = filled(64);
    free(block);
    live_on(64);
    memset(hidden(block), 0x5a, 64);
    live_on(64);
    drop(&herd);
    return MISSED;
}

/* Reads `count` bytes at `offset` of a freed block. */
static enum verdict read_at(size_t size, size_t offset, size_t count)
{
    struct herd herd = herd_of(size);
    char *block = filled(size);
    free(block);
    int isLeft = holds_old_bytes(hidden(block + offset), count);
    live_on(size);
    drop(&herd);
    return isLeft ? MISSED : HARMLESS;
}

static enum verdict read_all(void) { return read_at(64, 0, 64); }
static enum verdict read_length(void) { return read_at(48, 8, 8); }
static enum verdict read_text(void) { return read_at(200, 0, 200); }
static enum verdict read_medium(void) { return read_at(5000, 0, 5000); }
static enum verdict read_large(void) { return read_at(200 * KiB, 0, 200 * KiB); }

static enum verdict read_huge(void)
{
    char *block = filled(20 * MiB);
    free(block);
    int isLeft = holds_old_bytes(hidden(block), 4096);
    live_on(20 * MiB);
    return isLeft ? MISSED : HARMLESS;
}

/* What another wrote there meanwhile: the keys of a session that is not this one's. */
static enum verdict read_after_reuse(void)
{
    struct herd herd = herd_of(64);
    char *block = filled(64);
    free(block);
    char *others = filled(64);
    int isLeft = holds_old_bytes(hidden(block), 64);
    live_on(64);
    free(others);
    drop(&herd);
    return isLeft ? MISSED : HARMLESS;
}

struct node {
    char payload[24];
    struct node *next;
};

/* `for (n = list; n != NULL; n = n->next) free(n);` */
static enum verdict list_walk(void)
{
    struct node *list = NULL;
    for (int i = 0; i < 20; i++) {
        struct node *node = (struct node *)filled(sizeof *node);
        node->next = list;
        list = node;
    }
    int steps = 0;
    for (struct node *node = list; node != NULL; node = ((struct node *)hidden(node))->next, steps++) free(node);
    live_on(sizeof(struct node));
    return steps == 20 ? MISSED : HARMLESS;
}

const struct misuse after_free[] = {
    {"write_first_word", "the first 8 bytes of a freed block of 64 written to", first_word},
    {"write_count", "a 4-byte count at the start of a freed block of 48 set to 0", count_to_zero},
    {"write_second_word", "the second 8 bytes of a freed block of 64 written to", second_word},
    {"write_all", "a freed block of 128 cleared", all_of_it},
    {"write_last_byte", "the last byte of a freed block of 1000 written to", last_byte},
    {"write_medium_first", "the first 16 bytes of a freed block of 5000 written to", medium_first},
    {"write_medium_middle", "100 bytes within a freed block of 5000 written to", medium_middle},
    {"write_large_middle", "100 bytes within a freed block of 200 KiB written to", large_middle},
    {"write_huge_first", "the first bytes of a freed block of 20 MiB written to", huge_first},
    {"write_freed_by_thread", "a block of 72 that another thread freed overwritten", by_a_thread},
    {"write_after_reuse", "a freed block of 64 overwritten when another has it", write_after_reuse},
    {"write_long_after", "a freed block of 64 overwritten 6000 calls later", write_long_after},
    {"read_all", "a freed block of 64 read", read_all},
    {"read_length", "the second field of a freed block of 48 read", read_length},
    {"read_text", "a freed block of 200 read", read_text},
    {"read_medium", "a freed block of 5000 read", read_medium},
    {"read_large", "a freed block of 200 KiB read", read_large},
    {"read_huge", "the start of a freed block of 20 MiB read", read_huge},
    {"read_after_reuse", "a freed block of 64 read when another has it", read_after_reuse},
    {"read_list_walk", "a list freed by a loop that reads `next` of what it freed", list_walk},
    {NULL, NULL, NULL},
};
