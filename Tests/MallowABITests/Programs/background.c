/* With MALLOW_BACKGROUND=1: threads that freed most of a burst and then sleep give back what is free, although nobody
   calls malloc any more; a child of fork as well. The process ends at once all the same. Without it there is no
   hidden thread. */
#include "conformance.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>

enum { threads = 2, blocks = 200000 };

static atomic_int ready;
static atomic_int may_end;

static void pause_milliseconds(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
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
static long resident_kilobytes(void)
{
    char text[200] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    char *second = count > 0 ? strchr(text, ' ') : NULL;
    return second == NULL ? 0 : strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *burst(void *unused)
{
    static _Thread_local char *all[blocks];
    for (int i = 0; i < blocks; i++) {
        all[i] = malloc(16 + (size_t)i % 480);
        memset(all[i], 1, 16 + (size_t)i % 480);
    }
    for (int i = 0; i < blocks; i++)
        if (i % 211 != 0) free(all[i]);
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&may_end)) pause_milliseconds(1);
    return unused;
}

/* Waits until what is resident has come down, and is patient, since machines can be slow. */
static void check(const char *who)
{
    ready = may_end = 0;
    pthread_t all[threads];
    for (int i = 0; i < threads; i++) pthread_create(&all[i], NULL, burst, NULL);
    while (atomic_load(&ready) < threads) pause_milliseconds(1);
    /* 1,900 survivors in an OS page each and the tables of the threads are 11 MB, where the burst was 100. */
    long now = 0;
    for (int i = 0; i < 6000 && (now = resident_kilobytes()) > 30000; i++) pause_milliseconds(10);
    CHECK(now <= 30000, "%s: %ld KiB are resident", who, now);
    atomic_store(&may_end, 1);
    for (int i = 0; i < threads; i++) pthread_join(all[i], NULL);
}

int main(int count, char **arguments)
{
    int is_on = count > 1 && strcmp(arguments[1], "on") == 0;
    CHECK(thread_count() == (is_on ? 2 : 1), "%d threads at the start", thread_count());
    if (is_on) {
        check("the parent");
        CHECK(thread_count() == 2, "%d threads with the purger", thread_count());
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            check("the child");
            CHECK(thread_count() == 2, "%d threads in the child with its purger", thread_count());
            fflush(NULL);
            _exit(checks_failed != 0);
        }
        int status = 1;
        waitpid(child, &status, 0);
        CHECK(status == 0, "the child ended with %d", status);
    } else {
        pthread_t thread;
        pthread_create(&thread, NULL, burst, NULL);
        while (atomic_load(&ready) == 0) pause_milliseconds(1);
        atomic_store(&may_end, 1);
        pthread_join(thread, NULL);
        CHECK(thread_count() == 1, "%d threads without a purger", thread_count());
    }
    return finish();
}
