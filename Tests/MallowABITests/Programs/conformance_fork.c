/* Forks from a process in which four threads allocate: a thousand, or as many as the argument says. Each child frees
   blocks that it inherited from all of them, allocates, starts a thread that does so too, and exits. The forks come
   from the main thread and from another one, and now and then a child forks again.

   MALLOW_LIMIT, if it is set, must be too little for it: blocks are refused then, and all goes on without them. */
#include "conformance.h"
#include <sys/wait.h>

enum { workers = 4, slots = 64 };
static int forks = 1000;

struct head {
    size_t size;
    uint64_t seed;
};

/* Published blocks: whoever takes one out owns it. In the child, nobody else does. */
static _Atomic(struct head *) published[workers][slots];
static _Atomic int stop, started;
static int is_limited;
static _Atomic unsigned long refused;

static struct head *made(uint64_t *state)
{
    size_t size = next_random(state) % (next_random(state) % 50 == 0 ? 100000 : 900);
    struct head *block = malloc(sizeof *block + size);
    if (block == NULL) {
        if (!is_limited || errno != ENOMEM) _exit(3);
        atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
        return NULL;
    }
    *block = (struct head){size, next_random(state)};
    fill(block + 1, size, block->seed);
    return block;
}

static void check_and_free(struct head *block)
{
    if (block == NULL) return;
    CHECK(is_filled(block + 1, block->size, block->seed), "a block of %zu bytes was overwritten", block->size);
    free(block);
}

static void *work(void *number)
{
    uint64_t state = (uint64_t)(uintptr_t)number << 40;
    atomic_fetch_add(&started, 1);
    while (!stop) {
        check_and_free(atomic_exchange(&published[(uintptr_t)number][next_random(&state) % slots], made(&state)));
        /* Also frees what the others made. */
        check_and_free(atomic_exchange(&published[next_random(&state) % workers][next_random(&state) % slots], NULL));
    }
    return NULL;
}

static void *work_in_child(void *seed)
{
    uint64_t state = (uint64_t)(uintptr_t)seed;
    for (int i = 0; i < 50; i++) check_and_free(made(&state));
    return NULL;
}

static int child(int number)
{
    uint64_t state = (uint64_t)number << 30;
    unsigned long failed = checks_failed;
    struct head *mine[100];
    for (int i = 0; i < 100; i++) mine[i] = made(&state);
    for (int worker = 0; worker < workers; worker++)
        for (int slot = 0; slot < slots; slot++) check_and_free(atomic_exchange(&published[worker][slot], NULL));
    pthread_t thread;
    int has_thread = pthread_create(&thread, NULL, work_in_child, (void *)(uintptr_t)number) == 0;
    if (!has_thread && !is_limited) return 4;
    for (int i = 0; i < 100; i++) check_and_free(mine[i]);
    if (has_thread) pthread_join(thread, NULL);
    if (number % 50 == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            for (int i = 0; i < 100; i++) check_and_free(made(&state));
            _exit(checks_failed != failed);
        }
        int status;
        if (grandchild < 0 || waitpid(grandchild, &status, 0) != grandchild || status != 0) return 5;
    }
    return checks_failed != failed;
}

static void *fork_many(void *first)
{
    for (int i = 0; i < forks / 2; i++) {
        int number = (int)(uintptr_t)first + i, status = -1;
        pid_t process = fork();
        if (process == 0) {
            alarm(20);
            int failed = child(number);
            if (number % 2 == 0) exit(failed);
            _exit(failed);
        }
        if (!CHECK(process > 0, "fork %d: errno %d", number, errno)) break;
        waitpid(process, &status, 0);
        if (!CHECK(status == 0, "child %d ended with wait status 0x%x", number, status) && checks_failed > 5) break;
    }
    return NULL;
}

int main(int count, char **arguments)
{
    pthread_t ids[workers], forker;
    if (count > 1) forks = atoi(arguments[1]);
    is_limited = getenv("MALLOW_LIMIT") != NULL;
    for (int i = 0; i < workers; i++)
        if (pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)i) != 0) return 2;
    while (started < workers) usleep(100);
    fork_many((void *)(uintptr_t)0);
    /* The limit may leave no room for one more thread. */
    int has_forker = pthread_create(&forker, NULL, fork_many, (void *)(uintptr_t)(forks / 2)) == 0;
    if (has_forker) pthread_join(forker, NULL);
    else if (CHECK(is_limited, "no thread")) fork_many((void *)(uintptr_t)(forks / 2));
    stop = 1;
    for (int i = 0; i < workers; i++) pthread_join(ids[i], NULL);
    for (int i = 0; i < workers * slots; i++) check_and_free(published[i / slots][i % slots]);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "children are left");
    CHECK(!is_limited || refused > 0, "the limit refused nothing");
    return finish();
}
