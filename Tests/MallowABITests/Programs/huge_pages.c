/* Says whether huge pages lie behind a large block, and whether any lie behind small ones, which none should. */
#include "conformance.h"

static long huge_kilobytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[200];
    long found = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) sscanf(line, "AnonHugePages: %ld", &found);
    if (file != NULL) fclose(file);
    return found;
}

int main(void)
{
    enum { count = 100000 };
    static void *small[count];
    for (int i = 0; i < count; i++) {
        small[i] = malloc(400);
        memset(small[i], 1, 400);
    }
    long behind_small = huge_kilobytes();
    for (size_t size = 3 * MiB; size <= 48 * MiB; size *= 4) {
        char *block = malloc(size);
        memset(block, 1, size);
        /* Kept, all three. */
    }
    long behind_large = huge_kilobytes();
    puts(behind_small > 0 ? "huge pages behind small blocks" : behind_large > 0 ? "huge" : "none");
    return 0;
}
