#include "probe.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>

static void *block_before_main;

__attribute__((constructor)) static void allocate_before_main(void) { block_before_main = malloc(100); }

size_t probe_usable_size(const void *block) { return malloc_usable_size((void *)block); }

size_t probe_size_before_main(void) { return malloc_usable_size(block_before_main); }

int probe_has_heap_of_glibc(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    if (!maps) return 1;
    char line[512];
    int has_heap = 0, has_loader = 0;
    while (fgets(line, sizeof line, maps)) {
        has_heap |= strstr(line, "[heap]") != NULL;
        has_loader |= strstr(line, "/ld-") != NULL;
    }
    fclose(maps);
    return has_heap && has_loader;
}

int probe_has_thread(const char *name) {
    DIR *threads = opendir("/proc/self/task");
    int found = 0;
    for (struct dirent *thread; threads && (thread = readdir(threads));) {
        char path[300], line[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fgets(line, sizeof line, file)) line[strcspn(line, "\n")] = 0;
        fclose(file);
        found |= strcmp(line, name) == 0;
    }
    if (threads) closedir(threads);
    return found;
}
