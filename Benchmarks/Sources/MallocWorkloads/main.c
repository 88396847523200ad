// MallocWorkloads: runs one named workload under whatever malloc the process has, and prints one line of
// `key=value` fields. The malloc is chosen from outside: LD_PRELOAD=/path/to/libmallow.so MallocWorkloads small-500
//
//   MallocWorkloads [--scale F | --operations N] [--check] NAME
//   MallocWorkloads --list [--large]
//   MallocWorkloads --memory [NAME]
//   MallocWorkloads --addresses

#include "blocks.h"
#include "memory.h"

#include <string.h>

static const struct workload *const families[] = {
    small_workloads,   small_threads_workloads, random_workloads,     growing_workloads,
    variant_workloads, handoff_workloads,       generation_workloads, factorise_workloads,
    minimise_workloads, nbody_workloads,        session_workloads,    free_workloads,
    sharing_workloads, storm_workloads,
};
enum { family_count = sizeof families / sizeof families[0] };

static const char usage[] =
    "usage: MallocWorkloads [--scale F | --operations N] [--check] NAME\n"
    "       MallocWorkloads --list [--large]\n"
    "       MallocWorkloads --memory [NAME]\n"
    "       MallocWorkloads --addresses\n"
    "\n"
    "Runs one workload and prints: its name, the number of operations, the seconds they took, the peak memory of the\n"
    "process in bytes, that peak less the memory resident before the workload, and the file that defines malloc.\n"
    "\n"
    "  --scale F       F times as many operations as usual\n"
    "  --operations N  about N operations instead\n"
    "  --check         fill every block and verify it when it is freed; the time then means nothing\n"
    "  --list          print the names and what they do\n"
    "  --large         with --list: those that need gigabytes too\n"
    "  --memory        what stays resident when a burst is over; without a name it lists what there is\n"
    "  --addresses     where code lies in the process, for what reads traces of it\n";

static void print_list(bool with_large) {
    for (int family = 0; family < family_count; family++) {
        for (const struct workload *workload = families[family]; workload->name != NULL; workload++) {
            if (!workload->large || with_large)
                printf("%-22s %s\n", workload->name, workload->summary);
        }
    }
}

static const struct workload *find(const char *name) {
    for (int family = 0; family < family_count; family++) {
        for (const struct workload *workload = families[family]; workload->name != NULL; workload++) {
            if (strcmp(workload->name, name) == 0)
                return workload;
        }
    }
    return NULL;
}

static int run(const struct workload *workload, uint64_t wanted) {
    uint64_t operations = workload->run(wanted > 0 ? wanted : 1);
    struct measurement taken = measurement_taken();
    uint64_t delta = taken.peak_bytes > taken.baseline_bytes ? taken.peak_bytes - taken.baseline_bytes : 0;
    printf("workload=%s operations=%llu seconds=%.6f peak=%llu delta=%llu malloc=%s\n", workload->name,
           (unsigned long long)operations, taken.seconds, (unsigned long long)taken.peak_bytes,
           (unsigned long long)delta, malloc_object());
    return 0;
}

static int run_memory(const char *name) {
    for (const struct memory_workload *workload = memory_workloads; workload->name != NULL; workload++) {
        if (name == NULL) {
            printf("%-22s %s\n", workload->name, workload->summary);
        } else if (strcmp(workload->name, name) == 0) {
            struct memory_result result = workload->run();
            printf("full=%llu resident=%llu least=%llu first=%.3f again=%.3f malloc=%s\n",
                   (unsigned long long)result.full_bytes, (unsigned long long)result.resident_bytes,
                   (unsigned long long)result.least_bytes, result.first_seconds, result.again_seconds,
                   malloc_object());
            return 0;
        }
    }
    if (name == NULL)
        return 0;
    fprintf(stderr, "MallocWorkloads: no memory workload is called '%s'; --memory alone prints the names\n", name);
    return 64;
}

int main(int argument_count, char **arguments) {
    const char *name = NULL;
    double scale = 1;
    uint64_t wanted = 0;
    bool lists = false, with_large = false, is_memory = false;
    for (int i = 1; i < argument_count; i++) {
        if (strcmp(arguments[i], "--list") == 0)
            lists = true;
        else if (strcmp(arguments[i], "--large") == 0)
            with_large = true;
        else if (strcmp(arguments[i], "--memory") == 0)
            is_memory = true;
        else if (strcmp(arguments[i], "--addresses") == 0)
            return print_addresses(), 0;
        else if (strcmp(arguments[i], "--check") == 0)
            checks_contents = true;
        else if (strcmp(arguments[i], "--scale") == 0 && i + 1 < argument_count)
            scale = strtod(arguments[++i], NULL);
        else if (strcmp(arguments[i], "--operations") == 0 && i + 1 < argument_count)
            wanted = strtoull(arguments[++i], NULL, 10);
        else if (arguments[i][0] != '-' && name == NULL)
            name = arguments[i];
        else
            return fputs(usage, stderr), 64;
    }
    if (lists)
        return print_list(with_large), 0;
    if (is_memory)
        return run_memory(name);
    if (name == NULL || !(scale > 0))
        return fputs(usage, stderr), 64;
    const struct workload *workload = find(name);
    if (workload == NULL) {
        fprintf(stderr, "MallocWorkloads: no workload is called '%s'; --list prints the names\n", name);
        return 64;
    }
    return run(workload, wanted > 0 ? wanted : (uint64_t)((double)workload->operations * scale));
}
