// Where code lies in this process, for a tool that reads a trace of its instructions: the executable mappings, and the
// entries of the malloc family. A run under valgrind has the same addresses as the next one.

#include "workloads.h"

#include <dlfcn.h>
#include <string.h>

static void print_mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        fail("cannot open /proc/self/maps", NULL, 0);
    char line[4352], path[4096], access[8];
    unsigned long start, end, offset;
    while (fgets(line, sizeof line, maps) != NULL) {
        path[0] = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095[^\n]", &start, &end, access, &offset, path) < 5)
            continue;
        if (strchr(access, 'x') != NULL && path[0] == '/')
            printf("code %lx %lx %lx %s\n", start, end, offset, path);
    }
    fclose(maps);
}

void print_addresses(void) {
    static const char *const family[] = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "free"};
    print_mappings();
    for (size_t i = 0; i < sizeof family / sizeof family[0]; i++)
        printf("entry %lx %s\n", (unsigned long)dlsym(RTLD_DEFAULT, family[i]), family[i]);
    printf("program %lx\n", (unsigned long)&print_addresses);
}
