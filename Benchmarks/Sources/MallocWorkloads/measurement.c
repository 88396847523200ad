// The clock, the memory figures that the kernel keeps of this process, and memory that no malloc serves. Nothing here
// calls malloc: the figures of a workload must be the workload's.

#include "memory.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct measurement taken;
static double started_at;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// A field of /proc/self/status in bytes. VmHWM rather than getrusage's ru_maxrss, which a process inherits from the
// one that started it.
static uint64_t status_bytes(const char *field) {
    char text[8192];
    int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        fail("cannot open /proc/self/status", NULL, 0);
    size_t length = 0;
    ssize_t count;
    while ((count = read(descriptor, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)count;
    close(descriptor);
    text[length] = 0;
    const char *line = strstr(text, field);
    if (line == NULL)
        fail("a field is missing in /proc/self/status", NULL, 0);
    return strtoull(line + strlen(field), NULL, 10) * 1024;
}

void timed_part_begin(void) {
    taken.baseline_bytes = status_bytes("VmRSS:");
    started_at = seconds_now();
}

void timed_part_end(void) {
    taken.seconds = seconds_now() - started_at;
    taken.peak_bytes = status_bytes("VmHWM:");
}

struct measurement measurement_taken(void) {
    return taken;
}

void *table_make(size_t element_count, size_t element_size) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    void *table = mmap(NULL, element_count * element_size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (table == MAP_FAILED)
        fail("mmap failed for the workload's own table", NULL, element_count * element_size);
    return table;
}

void table_drop(void *table, size_t element_count, size_t element_size) {
    munmap(table, element_count * element_size);
}

uint64_t resident_bytes(void) {
    return status_bytes("VmRSS:");
}

const char *malloc_object(void) {
    Dl_info information;
    void *symbol = dlsym(RTLD_DEFAULT, "malloc");
    if (symbol == NULL || dladdr(symbol, &information) == 0 || information.dli_fname == NULL)
        return "unknown";
    return information.dli_fname;
}

void fail(const char *what, const void *address, size_t size) {
    char line[256];
    int length = snprintf(line, sizeof line, "MallocWorkloads: %s (address %p, size %zu)\n", what, address, size);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        _exit(2);
    _exit(1);
}
