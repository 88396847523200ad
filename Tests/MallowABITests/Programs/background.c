/* With MALLOW_BACKGROUND=1: threads that freed most of a burst and then sleep give back what is free, although nobody
   calls malloc any more; a child of fork as well. Then the purger sleeps, until there is something to do again. The
   process ends at once all the same: while the purger sleeps, and while it waits for a purge delay of an hour. Without
   MALLOW_BACKGROUND there is no hidden thread.

   usage: background           without
          background on
          background end FD    what `on` starts: frees a burst, writes to FD what the clock says, and ends */
#include "conformance.h"
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

enum { threads = 2, blocks = 200000 };

static char *all[threads][blocks];
static atomic_int ready;
static atomic_int may_end;
static int is_freed_by_another;

static void pause_milliseconds(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int thread_count(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Neither allocates nor frees. */
static void read_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY);
    ssize_t count = read(file, text, size - 1);
    close(file);
    text[count > 0 ? count : 0] = 0;
}

static long resident_kilobytes(void)
{
    char text[200];
    read_file("/proc/self/statm", text, sizeof text);
    char *second = strchr(text, ' ');
    return second == NULL ? 0 : strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

static int thread_named(const char *wanted)
{
    int found = 0;
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[64], name[64];
        snprintf(path, sizeof path, "/proc/self/task/%d/comm", atoi(entry->d_name));
        if (atoi(entry->d_name) == 0) continue;
        read_file(path, name, sizeof name);
        if (strcmp(name, wanted) == 0) found = atoi(entry->d_name);
    }
    closedir(folder);
    return found;
}

/* 0 if there is none. It names itself, some time after it was started. */
static int purger_id(void)
{
    for (int i = 0; i < 1000; i++) {
        int found = thread_named("mallow purger\n");
        if (found != 0) return found;
        pause_milliseconds(10);
    }
    return 0;
}


/* How often a thread has gone to sleep, or -1. Whoever wakes for a moment counts one more. */
static long sleeps(int thread)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
    read_file(path, text, sizeof text);
    char *line = strstr(text, "\nvoluntary_ctxt_switches:");
    return line == NULL ? -1 : strtol(strchr(line, ':') + 1, NULL, 10);
}

/* With nothing left to do it does not wake once in a third of a second, in which it would pass six times. */
static void check_sleep(const char *who)
{
    int purger = purger_id();
    if (!CHECK(purger != 0, "%s: no thread is named \"mallow purger\"", who)) return;
    long count = sleeps(purger), start = milliseconds(), since = start, now = start;
    do {
        pause_milliseconds(20);
        now = milliseconds();
        long next = sleeps(purger);
        if (next != count) since = now;
        count = next;
    } while (now - since < 300 && now - start < 30000);
    CHECK(now - since >= 300 && count > 0, "%s: the purger does not sleep: it woke %ld times", who, count);
}

static void make(char **mine)
{
    for (int i = 0; i < blocks; i++) {
        mine[i] = malloc(16 + (size_t)i % 480);
        memset(mine[i], 1, 16 + (size_t)i % 480);
    }
}

/* Backwards, so that the last page is none that is allocated from. */
static void free_most(char **mine)
{
    for (int i = blocks - 1; i >= 0; i--)
        if (i % 211 != 0) free(mine[i]);
}

static void *burst(void *number)
{
    char **mine = all[(uintptr_t)number];
    make(mine);
    if (!is_freed_by_another) free_most(mine);
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&may_end)) pause_milliseconds(1);
    return NULL;
}

static void start(pthread_t *ids)
{
    ready = may_end = 0;
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, burst, (void *)(uintptr_t)i);
    while (atomic_load(&ready) < threads) pause_milliseconds(1);
}

static void end(pthread_t *ids)
{
    atomic_store(&may_end, 1);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    for (int i = 0; i < threads; i++)
        for (int block = 0; block < blocks; block += 211) free(all[i][block]);
}

/* Waits until what is resident has come down. On a machine with nothing else to do that takes a fifth of a second; ten
   seconds are for those that have. Then the purger sleeps. */
static void check_fall(const char *who)
{
    /* 1,900 survivors in an OS page each and the tables of the threads are 14 MB, where the burst was 100. */
    long start = milliseconds(), now = 0, taken = 0;
    do {
        pause_milliseconds(5);
        now = resident_kilobytes();
        taken = milliseconds() - start;
    } while (now > 30000 && taken < 10000);
    CHECK(now <= 30000, "%s: %ld KiB are resident after %ld ms", who, now, taken);
    char text[100];
    int length = snprintf(text, sizeof text, "%s: %ld KiB are resident after %ld ms\n", who, now, taken);
    if (write(1, text, (size_t)length) != length) abort();
    check_sleep(who);
}

static void check(const char *who)
{
    pthread_t ids[threads];
    start(ids);
    check_fall(who);
    end(ids);
}

/* The purger sleeps when a thread begins to free what others made, and no call of its own is a slow one: these frees
   wake it. */
static void check_freed_by_another(const char *who)
{
    pthread_t ids[threads];
    is_freed_by_another = 1;
    start(ids);
    check_sleep(who);
    for (int i = 0; i < threads; i++) free_most(all[i]);
    check_fall(who);
    end(ids);
    is_freed_by_another = 0;
}

/* What a process does last. */
static void write_clock(int descriptor)
{
    long now = milliseconds();
    if (write(descriptor, &now, sizeof now) != sizeof now) abort();
}

/* Nobody waits for the purger: neither for its next pass nor for its sleep. */
static void check_end(const char *who, pid_t process, int descriptor)
{
    int status = 1;
    long last = 0, count = read(descriptor, &last, sizeof last);
    CHECK(count == sizeof last, "%s did not come to its end", who);
    waitpid(process, &status, 0);
    long taken = milliseconds() - last;
    CHECK(status == 0, "%s ended with %d", who, status);
    CHECK(taken < 5000, "%s: to end took %ld ms", who, taken);
    close(descriptor);
}

/* A purge delay of an hour is what the purger waits for when this program, started again, ends. */
static void check_end_while_waiting(char *program)
{
    int ends[2];
    pid_t process = 0;
    if (!CHECK(pipe(ends) == 0, "no pipe")) return;
    char descriptor[20];
    snprintf(descriptor, sizeof descriptor, "%d", ends[1]);
    setenv("MALLOW_PURGE_DELAY", "3600000", 1);
    char *arguments[] = {program, "end", descriptor, NULL};
    int failure = posix_spawn(&process, program, NULL, NULL, arguments, environ);
    close(ends[1]);
    if (CHECK(failure == 0, "cannot start itself: %d", failure)) check_end("who waits an hour", process, ends[0]);
}

int main(int count, char **arguments)
{
    if (count > 2 && strcmp(arguments[1], "end") == 0) {
        make(all[0]);
        free_most(all[0]);
        CHECK(purger_id() != 0, "no purger");
        write_clock(atoi(arguments[2]));
        return checks_failed != 0;
    }
    int is_on = count > 1 && strcmp(arguments[1], "on") == 0;
    CHECK(thread_count() == (is_on ? 2 : 1), "%d threads at the start", thread_count());
    if (is_on) {
        check("the parent");
        check_freed_by_another("by another thread");
        CHECK(thread_count() == 2, "%d threads with the purger", thread_count());
        int ends[2];
        CHECK(pipe(ends) == 0, "no pipe");
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            check("the child");
            CHECK(thread_count() == 2, "%d threads in the child with its purger", thread_count());
            write_clock(ends[1]);
            exit(checks_failed != 0);
        }
        close(ends[1]);
        check_end("the child", child, ends[0]);
        check_end_while_waiting(arguments[0]);
    } else {
        pthread_t thread;
        may_end = 1;
        pthread_create(&thread, NULL, burst, NULL);
        pthread_join(thread, NULL);
        CHECK(thread_count() == 1, "%d threads without a purger", thread_count());
    }
    return finish();
}
