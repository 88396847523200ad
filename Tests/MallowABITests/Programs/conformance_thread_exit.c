/* What happens while a thread ends: destructors of keys that were created before, between and after the threads free
   blocks, allocate others and set themselves again, for the four rounds that POSIX promises; what they leave live is
   whole, and another thread frees it. Memory stays bounded over 3,000 such threads. */
#include "conformance.h"

enum { keys = 12, rounds = 4, batches = 750, at_once = 4 };

struct value {
    int key, round;
    size_t size;
    uint64_t seed;
};

static pthread_key_t key[keys];
static _Atomic int destroyed, next_key;
static _Atomic(struct value *) orphans[64];

static struct value *made(int which, int round, uint64_t seed)
{
    size_t size = mixed(seed) % (which == 3 ? 100000 : 600);
    struct value *value = malloc(sizeof *value + size);
    if (!CHECK(value != NULL, "no memory in round %d", round)) abort();
    *value = (struct value){which, round, size, seed};
    fill(value + 1, size, seed);
    return value;
}

static void check(struct value *value)
{
    CHECK(is_filled(value + 1, value->size, value->seed), "a block that key %d's destructor met was overwritten",
          value->key);
}

static void destroy(void *argument)
{
    struct value *value = argument;
    check(value);
    atomic_fetch_add(&destroyed, 1);
    char *zeros = calloc(3, 50), *small = malloc(8);
    CHECK(is_zero(zeros, 150), "calloc is not zero in a destructor");
    zeros = realloc(zeros, 5000);
    CHECK(zeros != NULL && is_zero(zeros, 150), "realloc lost contents in a destructor");
    *small = 1;
    if (value->round < rounds) pthread_setspecific(key[value->key], made(value->key, value->round + 1, value->seed + 1));
    /* Every third block outlives its thread. */
    if (value->seed % 3 == 0) value = atomic_exchange(&orphans[value->seed % 64], value);
    if (value != NULL) {
        check(value);
        free(value);
    }
    free(zeros);
    free(small);
}

static void create_keys(int number)
{
    while (number-- > 0) {
        int which = atomic_fetch_add(&next_key, 1);
        if (pthread_key_create(&key[which], destroy) != 0) abort();
    }
}

/* Before main; in a static program before the first malloc too. */
__attribute__((constructor(101))) static void early(void)
{
    create_keys(4);
}

static void *work(void *seed)
{
    uint64_t state = (uint64_t)(uintptr_t)seed;
    int known = atomic_load(&next_key);
    for (int i = 0; i < known; i++) pthread_setspecific(key[i], made(i, 1, state * 100 + (uint64_t)i * 7));
    for (int i = 0; i < 20; i++) free(malloc(next_random(&state) % 3000));
    return NULL;
}


static void run(int number, int *expected)
{
    for (int batch = 0; batch < number; batch++) {
        pthread_t ids[at_once];
        for (int i = 0; i < at_once; i++)
            pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)(batch * at_once + i + *expected));
        for (int i = 0; i < at_once; i++) pthread_join(ids[i], NULL);
    }
    *expected += number * at_once * rounds * next_key;
    CHECK(destroyed == *expected, "%d destructors ran, not %d", destroyed, *expected);
}

static pthread_key_t late_key;

static void late_destroy(void *unused)
{
    (void)unused;
    char *block = malloc(100), *other = calloc(10, 10);
    CHECK(block != NULL && is_zero(other, 100), "malloc or calloc in an ending thread's first call");
    memset(block, 1, 100);
    free(block);
    free(other);
}

static void *first_malloc_while_ending(void *unused)
{
    (void)unused;
    pthread_setspecific(late_key, &late_key);
    return NULL;
}

int main(void)
{
    int expected = 0;
    run(10, &expected);
    create_keys(4);
    run(10, &expected);
    create_keys(4);
    run(batches / 3, &expected);
    long before = status_kilobytes("VmRSS");
    run(batches - batches / 3, &expected);
    long grown = status_kilobytes("VmRSS") - before;
    CHECK(grown < 16 * 1024, "2,000 more threads grew the process by %ld KiB", grown);

    pthread_key_create(&late_key, late_destroy);
    for (int i = 0; i < 500; i++) {
        pthread_t id;
        pthread_create(&id, NULL, first_malloc_while_ending, NULL);
        pthread_join(id, NULL);
    }
    for (int i = 0; i < 64; i++) {
        struct value *value = atomic_exchange(&orphans[i], NULL);
        if (value == NULL) continue;
        check(value);
        free(value);
    }
    return finish();
}
