/* Writes beyond a block's end and before its start, into neighbours that live or are free. Most are noticed, if at all,
   when a block near by is freed, reallocated or given out next. */
#include "suite.h"

enum neighbours { LIVE, FREE };

/* Writes `count` bytes at `offset` from the start of a block among others of its size. */
static enum verdict write_at(size_t size, enum neighbours neighbours, ptrdiff_t offset, size_t count, int byte)
{
    struct herd herd = herd_of(size);
    if (neighbours == FREE) thin_out(&herd);
    memset(hidden(herd.blocks[VICTIM] + offset), byte, count);
    live_on(size);
    drop(&herd);
    return MISSED;
}

/* The length of a string, without the zero at its end. */
static enum verdict string_end(size_t size, enum neighbours neighbours)
{
    return write_at(size, neighbours, (ptrdiff_t)size, 1, 0);
}

/* One element more than there are. */
static enum verdict one_too_many(size_t size, enum neighbours neighbours)
{
    return write_at(size, neighbours, (ptrdiff_t)size, 8, 0x5a);
}

static enum verdict end_24(void) { return string_end(24, LIVE); }
static enum verdict end_64_free(void) { return string_end(64, FREE); }
static enum verdict end_100(void) { return string_end(100, LIVE); }
static enum verdict end_1000(void) { return string_end(1000, LIVE); }
static enum verdict end_4096_free(void) { return string_end(4096, FREE); }
static enum verdict end_100000(void) { return string_end(100000, LIVE); }
static enum verdict element_64(void) { return one_too_many(64, LIVE); }
static enum verdict element_64_free(void) { return one_too_many(64, FREE); }
static enum verdict element_240_free(void) { return one_too_many(240, FREE); }
static enum verdict element_4096(void) { return one_too_many(4096, LIVE); }
static enum verdict element_1MiB(void) { return one_too_many(MiB, LIVE); }
static enum verdict many_128(void) { return write_at(128, LIVE, 128, 200, 0x5a); }
static enum verdict many_128_free(void) { return write_at(128, FREE, 128, 200, 0x5a); }
static enum verdict many_5000_free(void) { return write_at(5000, FREE, 5000, 4000, 0x5a); }
static enum verdict many_300000(void) { return write_at(300000, LIVE, 300000, 3000, 0x5a); }

static enum verdict end_huge(void)
{
    char *block = filled(20000000);
    block[hidden_size(20000000)] = 0;
    live_on(20000000);
    free(block);
    return MISSED;
}

/* Found, if at all, when the string grows. */
static enum verdict element_then_realloc(void)
{
    struct herd herd = herd_of(40);
    memset(hidden(herd.blocks[VICTIM] + 40), 0x5a, 8);
    herd.blocks[VICTIM] = realloc(herd.blocks[VICTIM], 400);
    live_on(40);
    drop(&herd);
    return MISSED;
}

static enum verdict before_64(void) { return write_at(64, LIVE, -1, 1, 0); }
static enum verdict before_64_free(void) { return write_at(64, FREE, -8, 8, 0x5a); }
static enum verdict before_1000(void) { return write_at(1000, LIVE, -8, 8, 0x5a); }
static enum verdict before_256_free(void) { return write_at(256, FREE, -256, 256, 0x5a); }
static enum verdict before_200KiB(void) { return write_at(200 * KiB, LIVE, -16, 16, 0x5a); }

const struct misuse out_of_bounds[] = {
    {"end_24", "the zero behind a string of 24 bytes, a live neighbour", end_24},
    {"end_64_free", "the zero behind a string of 64 bytes, a free neighbour", end_64_free},
    {"end_100", "the zero behind a string of 100 bytes", end_100},
    {"end_1000", "the zero behind a string of 1000 bytes", end_1000},
    {"end_4096_free", "the zero behind a string of 4096 bytes, a free neighbour", end_4096_free},
    {"end_100000", "the zero behind a string of 100000 bytes", end_100000},
    {"end_20000000", "the zero behind a string of 20 million bytes", end_huge},
    {"element_64", "8 bytes behind a block of 64, a live neighbour", element_64},
    {"element_64_free", "8 bytes behind a block of 64, a free neighbour", element_64_free},
    {"element_240_free", "8 bytes behind a block of 240, a free neighbour", element_240_free},
    {"element_40_realloc", "8 bytes behind a block of 40, which then grows", element_then_realloc},
    {"element_4096", "8 bytes behind a block of 4096, a live neighbour", element_4096},
    {"element_1MiB", "8 bytes behind a block of 1 MiB", element_1MiB},
    {"many_128", "200 bytes behind a block of 128, live neighbours", many_128},
    {"many_128_free", "200 bytes behind a block of 128, free neighbours", many_128_free},
    {"many_5000_free", "4000 bytes behind a block of 5000, free neighbours", many_5000_free},
    {"many_300000", "3000 bytes behind a block of 300000", many_300000},
    {"before_64", "a byte before a block of 64, a live neighbour", before_64},
    {"before_64_free", "8 bytes before a block of 64, a free neighbour", before_64_free},
    {"before_1000", "8 bytes before a block of 1000, a live neighbour", before_1000},
    {"before_256_free", "256 bytes before a block of 256, free neighbours", before_256_free},
    {"before_200KiB", "16 bytes before a block of 200 KiB", before_200KiB},
    {NULL, NULL, NULL},
};
