/* Runs the cases, one a process.

   usage: misuse                       lists them: kind, name and description, separated by tabs
          misuse NAME                  commits that error; ends as the case says, if the malloc does not end it
          misuse --all JOBS [VAR=X]…   runs each in a process of its own with these environment variables, JOBS at a
                                       time, and prints a line each: name, outcome, and what was said

   Outcomes: caught (a line of Mallow's, and the process ended), harmless, missed, crashed (a signal without a line),
   remarked (a line, but the process went on), hung, absent, broken (a mistake of the suite's). */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const struct {
    const char *name;
    const struct misuse *cases;
} kinds[] = {
    {"double free", double_frees},
    {"invalid free", invalid_frees},
    {"out of bounds", out_of_bounds},
    {"after free", after_free},
    {"mismatched size", mismatched_sizes},
    {"uninitialised", dirty_reads},
    {"metadata", overwritten_metadata},
    {"innocent", innocents},
};
enum { KINDS = sizeof kinds / sizeof kinds[0], MOST_JOBS = 16, MOST_SETTINGS = 16 };

/* MARK: - What cases share */

struct herd herd_of(size_t size)
{
    struct herd herd = {.size = size};
    for (int i = 0; i < HERD; i++) herd.blocks[i] = filled(size);
    return herd;
}

void thin_out(struct herd *herd)
{
    for (int i = 1; i < HERD; i += 2) {
        free(herd->blocks[i]);
        herd->blocks[i] = NULL;
    }
}

void drop(struct herd *herd)
{
    for (int i = 0; i < HERD; i++) free(herd->blocks[i]);
}

void live_on(size_t size)
{
    enum { SLOTS = 300, STEPS = 6000 };
    static char *slots[SLOTS];
    uint64_t random = 88172645463325252u;
    for (int step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        char **slot = &slots[random % SLOTS];
        if (*slot != NULL) {
            free(*slot);
            *slot = NULL;
            continue;
        }
        unsigned kind = (random >> 20) % 100;
        size_t wanted = 1 + (random >> 32) % 600;
        /* Large ones seldom, as in most programs, and huge ones hardly ever. */
        if (kind < 60 && size <= 32 * KiB) wanted = size;
        if (kind == 98 && step % 8 == 0) wanted = 40 * KiB + wanted * 512;
        if (kind == 99 && size > 32 * KiB && step % 8 == 0) wanted = size;
        *slot = malloc(wanted);
        if (*slot == NULL) _exit(3);
        (*slot)[0] = (*slot)[wanted / 2] = (*slot)[wanted - 1] = 0x42;
    }
    for (int i = 0; i < SLOTS; i++) {
        free(slots[i]);
        slots[i] = NULL;
    }
}

void on_a_thread(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, argument) != 0) _exit(3);
    pthread_join(thread, NULL);
}

void *free_it(void *block)
{
    free(block);
    return NULL;
}

int holds_old_bytes(const volatile char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] == 0x41) return 1;
    return 0;
}

int is_zero(const volatile char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0) return 0;
    return 1;
}

/* MARK: - Running them all */

struct job {
    const struct misuse *misuse;
    pid_t process;
    int errors;
    size_t length;
    char text[2000];
};

static void start(struct job *job, const char *program, char **settings, int count)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) exit(3);
    job->process = fork();
    if (job->process < 0) exit(3);
    if (job->process == 0) {
        for (int i = 0; i < count; i++) putenv(settings[i]);
        dup2(ends[1], 2);
        alarm(20);
        execl(program, program, job->misuse->name, NULL);
        _exit(3);
    }
    close(ends[1]);
    job->errors = ends[0];
    job->length = 0;
}

/* Waits for the end of a process whose standard error is closed, and prints its line. */
static void report(struct job *job)
{
    int status = 0;
    while (waitpid(job->process, &status, 0) < 0 && errno == EINTR) {}
    close(job->errors);
    job->text[job->length] = 0;
    char *line = strstr(job->text, "mallow: ");
    /* A finding names an address: what is said of a setting is none. */
    if (line != NULL && strstr(line, "0x") == NULL) line = NULL;
    const char *outcome = "missed";
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (line != NULL && code != MISSED && code != HARMLESS) {
        outcome = "caught";
    } else if (WIFSIGNALED(status)) {
        outcome = WTERMSIG(status) == SIGALRM ? "hung" : "crashed";
    } else if (code == HARMLESS) {
        outcome = line == NULL ? "harmless" : "remarked";
    } else if (code == ABSENT) {
        outcome = "absent";
    } else if (code != MISSED) {
        outcome = "broken";
    } else if (line != NULL) {
        outcome = "remarked";
    }
    if (line == NULL) line = job->text;
    line[strcspn(line, "\n")] = 0;
    printf("%s\t%s\t%s\n", job->misuse->name, outcome, line);
    job->process = 0;
}

/* Reads on from a running one. 0 when it has ended. */
static int follow(struct job *job)
{
    char rest[500];
    int isFull = job->length + 1 >= sizeof job->text;
    ssize_t count = isFull ? read(job->errors, rest, sizeof rest)
                           : read(job->errors, job->text + job->length, sizeof job->text - 1 - job->length);
    if (count < 0 && errno == EINTR) return 1;
    if (count > 0 && !isFull) job->length += (size_t)count;
    return count > 0;
}

static int run_all(const char *program, int most, char **settings, int count)
{
    static struct job jobs[MOST_JOBS];
    int kind = 0, number = 0, running = 0;
    if (most < 1 || most > MOST_JOBS || count > MOST_SETTINGS) return 3;
    for (;;) {
        for (int i = 0; i < most && kind < KINDS; i++) {
            if (jobs[i].process != 0) continue;
            jobs[i].misuse = &kinds[kind].cases[number++];
            start(&jobs[i], program, settings, count);
            running++;
            if (kinds[kind].cases[number].name == NULL) kind++, number = 0;
        }
        if (running == 0) return 0;
        struct pollfd waits[MOST_JOBS];
        for (int i = 0; i < most; i++)
            waits[i] = (struct pollfd){.fd = jobs[i].process != 0 ? jobs[i].errors : -1, .events = POLLIN};
        if (poll(waits, (nfds_t)most, -1) < 0 && errno != EINTR) return 3;
        for (int i = 0; i < most; i++) {
            if (jobs[i].process == 0 || waits[i].revents == 0 || follow(&jobs[i])) continue;
            report(&jobs[i]);
            running--;
        }
    }
}

int main(int count, char **arguments)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (count >= 3 && strcmp(arguments[1], "--all") == 0)
        return run_all("/proc/self/exe", atoi(arguments[2]), arguments + 3, count - 3);
    for (int kind = 0; kind < KINDS; kind++)
        for (const struct misuse *misuse = kinds[kind].cases; misuse->name != NULL; misuse++) {
            if (count < 2) printf("%s\t%s\t%s\n", kinds[kind].name, misuse->name, misuse->description);
            if (count == 2 && strcmp(arguments[1], misuse->name) == 0) return misuse->commit();
        }
    return count < 2 ? 0 : 2;
}
