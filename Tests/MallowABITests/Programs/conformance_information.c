/* What malloc says of itself: mallinfo and mallinfo2 follow what is allocated and freed, malloc_info writes XML (with
   the argument "xml" it does only that, to standard output, for the test to parse), malloc_stats writes to standard
   error alone, and malloc_trim gives memory back. */
#include "conformance.h"
#include <fcntl.h>

enum { count = 20000, size = 2000 };
static char *blocks[count];

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* glibc counts what it mapped separately apart. */
static size_t in_use(void)
{
    struct mallinfo2 information = mallinfo2();
    return information.uordblks + information.hblkhd;
}

static size_t in_use_as_int(void)
{
    struct mallinfo information = mallinfo();
    return (size_t)(unsigned)information.uordblks + (size_t)(unsigned)information.hblkhd;
}

static void take_all(void)
{
    for (int i = 0; i < count; i++) memset(blocks[i] = malloc(size), 1, size);
}

static void follows(size_t (*now)(void), const char *name)
{
    size_t before = now();
    take_all();
    size_t full = now();
    CHECK(full >= before + (size_t)count * size, "%s rose by %zu, not by %d", name, full - before, count * size);
    CHECK(full <= before + (size_t)count * size * 5 / 4, "%s rose by %zu, not by %d", name, full - before, count * size);
    for (int i = 0; i < count; i += 2) free(blocks[i]);
    size_t half = now();
    CHECK(half <= full - (size_t)count * size / 2 * 9 / 10, "%s fell by %zu only", name, full - half);
    for (int i = 1; i < count; i += 2) free(blocks[i]);
    size_t empty = now();
    CHECK(empty <= before + (size_t)count * size / 10, "%s is still %zu above", name, empty - before);

    char *big = malloc(50 * MiB);
    CHECK(now() >= empty + 50 * MiB, "%s rose by %zu, not by 50 MiB", name, now() - empty);
    free(big);
    CHECK(now() <= empty + MiB, "%s still counts a freed block of 50 MiB", name);
}

static void totals(void)
{
    take_all();
    struct mallinfo2 information = mallinfo2();
    CHECK(information.arena + information.hblkhd >= in_use(), "mallinfo2 says that less is had than is used");
    for (int i = 0; i < count; i++) free(blocks[i]);
}

static void writes_xml(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    CHECK(malloc_info(0, stream) == 0, "malloc_info(0) failed");
    fclose(stream);
    CHECK(length > 20 && strncmp(text, "<malloc", 7) == 0, "malloc_info wrote %zu bytes", length);
    CHECK(length > 20 && strstr(text, "</malloc>") != NULL, "malloc_info did not write </malloc>");
    free(text);
    stream = open_memstream(&text, &length);
    errno = 0;
    int result = malloc_info(1, stream);
    CHECK(result == EINVAL, "malloc_info(1) returned %d", result);
    fclose(stream);
    CHECK(length == 0, "malloc_info(1) wrote %zu bytes", length);
    free(text);
}

static void writes_statistics(void)
{
    int ends[2], saved = dup(2);
    if (pipe(ends) != 0) abort();
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    dup2(ends[1], 2);
    malloc_stats();
    fflush(stderr);
    dup2(saved, 2);
    static char text[65536];
    ssize_t length = read(ends[0], text, sizeof text);
    CHECK(length > 20 && text[length - 1] == '\n', "malloc_stats wrote %zd bytes to standard error", length);
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

static void trims(void)
{
    take_all();
    long full = status_kilobytes("VmRSS");
    for (int i = 0; i < count; i++) free(blocks[i]);
    int result = malloc_trim(0);
    long trimmed = status_kilobytes("VmRSS");
    CHECK(result == 0 || result == 1, "malloc_trim returned %d", result);
    CHECK(trimmed <= full - count / 1024 * size * 9 / 10, "malloc_trim: %ld KiB resident of %ld", trimmed, full);
}

static void options(void)
{
    static const int known[] = {M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX};
    static const int values[] = {64, 1 << 20, 1 << 16, 1 << 18, 1000, 2};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int result = mallopt(known[i], values[i]);
        CHECK(result == 0 || result == 1, "mallopt(%d, %d) returned %d", known[i], values[i], result);
        char *block = malloc(100000);
        memset(block, 1, 100000);
        free(block);
    }
}

int main(int arguments, char **argument)
{
    if (arguments > 1 && strcmp(argument[1], "xml") == 0) {
        take_all();
        return malloc_info(0, stdout) != 0 || fflush(stdout) != 0;
    }
    follows(in_use, "mallinfo2");
    follows(in_use_as_int, "mallinfo");
    totals();
    writes_xml();
    writes_statistics();
    trims();
    options();
    return finish();
}
