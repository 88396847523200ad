/* Says whether huge pages lie behind large blocks, one that grew to its size too, and whether any lie behind small ones,
   which none should. */
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
    /* It leaves its segment on the way. */
    char *grown = malloc(300 * KiB), *wall = malloc(300 * KiB);
    grown = realloc(grown, 60 * MiB);
    memset(grown, 1, 50 * MiB);
    long behind_all = huge_kilobytes();
    free(wall);
    puts(behind_small > 0 ? "huge pages behind small blocks" : behind_all >= behind_large + 30 * 1024 ? "huge"
         : behind_all > 0 ? "huge pages behind some" : "none");
    return 0;
}
