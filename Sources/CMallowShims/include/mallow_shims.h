// What the malloc needs from C because Swift cannot say it: a thread-local slot, zero-filled static storage, constants
// that libc spells as macros, and calls whose C declaration is variadic. There is no logic here, and nothing is exported:
// every symbol is hidden.
#ifndef MALLOW_SHIMS_H
#define MALLOW_SHIMS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MALLOW_HIDDEN __attribute__((visibility("hidden")))

// MARK: - Geometry shared with the static storage

// One entry of the segment map for each 32 MiB of the address space that user mappings can have.
#define MALLOW_SEGMENT_SHIFT 25
#if defined(__x86_64__)
#define MALLOW_ADDRESS_BITS 47
#define MALLOW_SEGMENT_MAP_COUNT 0x400000
#else
#define MALLOW_ADDRESS_BITS 48
#define MALLOW_SEGMENT_MAP_COUNT 0x800000
#endif
// As large as a heap's tables, so that every look-up in them finds no page.
#define MALLOW_HEAP_WORDS 240
// The word of a heap that leads to its table of buckets, and the entries of such a table.
#define MALLOW_HEAP_BUCKETS_WORD 32
#define MALLOW_BUCKET_ENTRIES 202
#define MALLOW_PROCESS_BYTES 65536

// MARK: - Thread-local slots

// What a thread knows of itself: ThisThread.swift says what the words mean and who may change them.
struct mallow_thread {
    // Never null: a thread without a heap has `mallow_no_heap`, every word of which is the address of a page that has no
    // free block, or of a table of such addresses: so malloc's hit path needs no check of its own.
    void *heap;
    uintptr_t hit;
    uintptr_t inside;
    int phase;
};
extern _Thread_local struct mallow_thread mallow_thread_storage MALLOW_HIDDEN __attribute__((tls_model("initial-exec")));

static inline void *mallow_this_thread(void) { return &mallow_thread_storage; }
static inline int mallow_thread_phase(void) { return mallow_thread_storage.phase; }
static inline void mallow_set_thread_phase(int phase) { mallow_thread_storage.phase = phase; }
// A number that no other living thread has, and that a child of fork keeps.
static inline uintptr_t mallow_thread_identity(void) { return (uintptr_t)&mallow_thread_storage; }

// The compiler moves no access to memory across it. No instruction.
static inline void mallow_compiler_fence(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

// MARK: - Slots of the composable allocators

// The thread's table of magazines, a list of entries by the allocator's index (PerThread.swift). It is never null: a thread
// without a table has one of no entries, so that finding a magazine needs no check of its own.
struct mallow_magazine_entry {
    uint64_t generation;
    void *cache;
};
struct mallow_magazine_table {
    size_t count;
    struct mallow_magazine_entry entries[];
};
extern _Thread_local struct mallow_magazine_table *mallow_magazine_slot_storage MALLOW_HIDDEN
    __attribute__((tls_model("initial-exec")));
extern struct mallow_magazine_table mallow_no_magazines_storage MALLOW_HIDDEN;

static inline struct mallow_magazine_table *mallow_magazine_slot(void) { return mallow_magazine_slot_storage; }
static inline void mallow_set_magazine_slot(struct mallow_magazine_table *table) { mallow_magazine_slot_storage = table; }
static inline struct mallow_magazine_table *mallow_no_magazines(void) { return &mallow_no_magazines_storage; }
static inline struct mallow_magazine_entry *mallow_magazine_entries(struct mallow_magazine_table *table) {
    return table->entries;
}

// The thread's number, from 1 (ThreadNumbers.swift); 0: it has none yet.
extern _Thread_local size_t mallow_thread_number_storage MALLOW_HIDDEN __attribute__((tls_model("initial-exec")));
static inline size_t mallow_thread_number(void) { return mallow_thread_number_storage; }
static inline void mallow_set_thread_number(size_t number) { mallow_thread_number_storage = number; }

// The allocator behind C functions that take no context (RegisteredCAllocator.swift), or null.
extern void *mallow_registered_context_storage MALLOW_HIDDEN;
static inline void *mallow_registered_context(void) {
    return __atomic_load_n(&mallow_registered_context_storage, __ATOMIC_ACQUIRE);
}
// 0 if there is one already.
static inline int mallow_register_context(void *context) {
    void *none = NULL;
    return __atomic_compare_exchange_n(
        &mallow_registered_context_storage, &none, context, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline void mallow_unregister_context(void) {
    __atomic_store_n(&mallow_registered_context_storage, NULL, __ATOMIC_RELEASE);
}

// MARK: - Static storage

extern void *const mallow_no_heap_storage[MALLOW_HEAP_WORDS] MALLOW_HIDDEN;
extern void *const mallow_no_buckets_storage[MALLOW_BUCKET_ENTRIES] MALLOW_HIDDEN;
extern char mallow_no_page_storage[128] MALLOW_HIDDEN;
extern char mallow_process_storage[MALLOW_PROCESS_BYTES] MALLOW_HIDDEN;
// As many zeros as a segment has records, where a map entry of 0 leads, and behind them the map.
#define MALLOW_NO_RECORDS_WORDS 8192
extern uintptr_t mallow_segment_map_storage[MALLOW_NO_RECORDS_WORDS + MALLOW_SEGMENT_MAP_COUNT] MALLOW_HIDDEN;

// Where MALLOW_STATS says that the report goes.
#define MALLOW_REPORT_PATH_BYTES 960
extern char mallow_report_path_storage[MALLOW_REPORT_PATH_BYTES] MALLOW_HIDDEN;
static inline void *mallow_report_path(void) { return mallow_report_path_storage; }

static inline void *mallow_no_heap(void) { return (void *)mallow_no_heap_storage; }
static inline void *mallow_no_buckets(void) { return (void *)mallow_no_buckets_storage; }
static inline void *mallow_no_page(void) { return mallow_no_page_storage; }
static inline void *mallow_process(void) { return mallow_process_storage; }
static inline uintptr_t *mallow_no_records(void) { return mallow_segment_map_storage; }

// MARK: - Macros and variadic calls of libc

static inline int mallow_errno(void) { return errno; }
static inline void mallow_set_errno(int value) { errno = value; }

#if defined(__APPLE__)
#include <malloc/malloc.h>
static inline long mallow_system_usable_size(const void *block) { return (long)malloc_size(block); }
#else
#include <malloc.h>
static inline long mallow_system_usable_size(const void *block) { return (long)malloc_usable_size((void *)block); }
#endif

// Set before any initialiser but libc's own runs.
extern char **environ;
static inline char **mallow_environment(void) { return environ; }

static inline void *mallow_map_failed(void) { return MAP_FAILED; }

#if defined(__linux__)
#include <elf.h>
#include <malloc.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#if !defined(__GLIBC__)
// What mallopt, mallinfo and mallinfo2 are about in glibc, for programs that ask for them: musl has none of it.
#define M_MXFAST 1
#define M_TRIM_THRESHOLD -1
#define M_TOP_PAD -2
#define M_MMAP_THRESHOLD -3
#define M_MMAP_MAX -4
#define M_CHECK_ACTION -5
#define M_PERTURB -6
#define M_ARENA_TEST -7
#define M_ARENA_MAX -8
struct mallinfo {
    int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct mallinfo2 {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
#endif

static inline void *mallow_mremap(void *address, size_t from, size_t to, int flags, void *target) {
    return (void *)syscall(SYS_mremap, address, from, to, flags, target);
}
static inline void mallow_futex_wait(void *word, uint32_t expected) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}
// After it, all threads of the process have done what came before it in their programs, and see what came before it here:
// what a fence in each of them would do, and they need none. 0, or -1 where the kernel has no such call.
static inline int mallow_fence_all_threads(void) {
    enum { expedited = 1 << 3, register_expedited = 1 << 4 };
    if (syscall(SYS_membarrier, expedited, 0, 0) == 0) return 0;
    // The process has to say once that it will.
    if (errno != EPERM || syscall(SYS_membarrier, register_expedited, 0, 0) != 0) return -1;
    return (int)syscall(SYS_membarrier, expedited, 0, 0);
}
static inline void mallow_futex_wake(void *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
// Starts a detached thread to which no signal comes but SIGPROF. 0, or an error's number.
//
// When a Swift program crashes, its runtime stops every thread by SIGUSR1, SIGUSR2 or SIGPROF, whichever the thread does
// not block, and says that the backtrace will be incomplete where that is none of them. A program may wait for the first
// two by sigwait, for which all its threads must block them; the last is a profiler's, which asks any thread.
static inline int mallow_start_thread(void *(*body)(void *), size_t stack_byte_count) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_byte_count);
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&thread, &attributes, body, NULL);
    // Where thread-local variables alone need more than that.
    if (error == EINVAL) {
        pthread_attr_destroy(&attributes);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        error = pthread_create(&thread, &attributes, body, NULL);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}
// What /proc/self/maps calls anonymous memory (Linux 5.17, where it is configured).
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
static inline int mallow_name_mapping(void *address, size_t count, const void *name) {
    return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, count, name);
}
static inline void mallow_name_thread(const char *name) { prctl(PR_SET_NAME, name); }
// Whether the program runs with rights that its caller does not have.
static inline int mallow_is_privileged(void) { return getauxval(AT_SECURE) != 0; }
static inline const void *mallow_random_bytes(void) { return (const void *)getauxval(AT_RANDOM); }
#endif

// The structure of mallow.h, under a name that its function does not have.
struct mallow_statistics_fields {
    uint64_t requested_bytes, granted_bytes, allocations, frees, remote_frees, live_blocks, live_bytes, peak_live_bytes;
    uint64_t mapped_bytes, committed_bytes, peak_committed_bytes, purged_bytes, retained_bytes;
    uint64_t threads, peak_threads, heaps;
};

// As above, of a first-class heap.
struct mallow_heap_statistics_fields {
    uint64_t live_blocks, live_bytes, committed_bytes, pages, large_blocks, large_bytes;
};

static inline void mallow_write_stream(void *stream, const void *bytes, size_t count) {
    fwrite(bytes, 1, count, (FILE *)stream);
}

static inline int mallow_handle_signal(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    return sigaction(number, &action, NULL);
}

static inline int mallow_open_to_append(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static inline int mallow_open_file(const char *path, int flags) { return open(path, flags | O_CLOEXEC, 0644); }
// Never waits. 0, or -1.
static inline int mallow_lock_file(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }
static inline int mallow_unlock_file(int descriptor) { return flock(descriptor, LOCK_UN); }
static inline int mallow_is_regular_file(const struct stat *status) { return S_ISREG(status->st_mode); }
// How long the process may make a file, in bytes: beyond it, a signal ends the process.
static inline uint64_t mallow_file_size_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return (uint64_t)limit.rlim_cur;
}
#if defined(__linux__)
#include <linux/falloc.h>
// By the number: libc declares the call for GNU programs alone.
static inline int mallow_punch_hole(int descriptor, off_t offset, off_t count) {
    return (int)syscall(SYS_fallocate, descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count);
}
#endif

// MARK: - Where the program is, for reports of memory errors

// The calling function's frame record: the caller's frame pointer, and behind it the address that it returns to.
__attribute__((always_inline)) static inline uintptr_t mallow_frame_address(void) {
    return (uintptr_t)__builtin_frame_address(0);
}

// Whether 8 bytes at an address can be read: a call that copies them and then refuses them.
static inline int mallow_is_readable(uintptr_t address) {
#if defined(__linux__)
    int saved = errno;
    int readable = syscall(SYS_rt_sigprocmask, ~0, address, NULL, 8) != 0 && errno != EFAULT;
    errno = saved;
    return readable;
#else
    return 0;
#endif
}

// What a handler of SIGSEGV or SIGBUS is told. `access`: 0 not known, 1 a read, 2 a write, 3 a jump.
struct mallow_fault {
    uintptr_t address, instruction, frame, stack;
    unsigned access;
    // The kernel sent it because of what the thread did at the address; and it will again if the handler returns.
    int is_fault, recurs;
};

static inline struct mallow_fault mallow_describe_fault(int number, const siginfo_t *information, const void *context) {
    struct mallow_fault fault = {0, 0, 0, 0, 0, 0, 0};
    fault.is_fault = information->si_code > 0;
    // 5: memory that failed, and that nobody has asked for yet.
    fault.recurs = fault.is_fault && !(number == SIGBUS && information->si_code == 5);
    fault.address = (uintptr_t)information->si_addr;
#if defined(__linux__) && defined(__x86_64__)
    const ucontext_t *user = (const ucontext_t *)context;
    // By their numbers, since libc names them for GNU programs alone: RBP, RSP, RIP, and the error code.
    const greg_t *registers = user->uc_mcontext.gregs;
    fault.frame = (uintptr_t)registers[10];
    fault.stack = (uintptr_t)registers[15];
    fault.instruction = (uintptr_t)registers[16];
    fault.access = registers[19] & 16 ? 3 : registers[19] & 2 ? 2 : 1;
#elif defined(__linux__) && defined(__aarch64__)
    const ucontext_t *user = (const ucontext_t *)context;
    fault.frame = (uintptr_t)user->uc_mcontext.regs[29];
    fault.stack = (uintptr_t)user->uc_mcontext.sp;
    fault.instruction = (uintptr_t)user->uc_mcontext.pc;
    // Records of further state follow each other; the one of this number holds the syndrome of the exception.
    const uint32_t *record = (const uint32_t *)user->uc_mcontext.__reserved;
    const uint32_t *end = record + sizeof user->uc_mcontext.__reserved / 4 - 4;
    while (record < end && record[0] != 0 && record[1] >= 8) {
        if (record[0] == 0x45535201) {
            uint64_t syndrome = *(const uint64_t *)(record + 2);
            unsigned class = (unsigned)(syndrome >> 26) & 63;
            fault.access = class == 0x20 || class == 0x21 ? 3 : syndrome & 64 ? 2 : 1;
            break;
        }
        record += record[1] / 4;
    }
#endif
    return fault;
}

// What handled SIGSEGV (0) and SIGBUS (1) before us.
extern struct sigaction mallow_previous_actions_storage[2] MALLOW_HIDDEN;
static inline struct sigaction *mallow_previous_action(int number) {
    return &mallow_previous_actions_storage[number == SIGBUS];
}
static inline int mallow_handle_fault(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    return sigaction(number, &action, mallow_previous_action(number));
}
static inline int mallow_is_default(const struct sigaction *action) { return action->sa_handler == SIG_DFL; }
static inline int mallow_is_ignored(const struct sigaction *action) { return action->sa_handler == SIG_IGN; }
static inline void mallow_set_default_action(int number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, NULL);
}
// As the kernel would have called it.
static inline void mallow_call_action(
    const struct sigaction *action, int number, siginfo_t *information, void *context) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, &action->sa_mask, &mask);
    if (action->sa_flags & SA_SIGINFO) action->sa_sigaction(number, information, context);
    else action->sa_handler(number);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static inline uint32_t mallow_thread_id(void) {
#if defined(__linux__)
    return (uint32_t)syscall(SYS_gettid);
#else
    return 0;
#endif
}

static inline uint64_t mallow_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// What a busy-waiting loop should do between two looks.
static inline void mallow_spin_hint(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// MARK: - Where code is, for allocators that tell where a block came from

// The return addresses of the calls that led here, innermost first; none where libc cannot tell (musl).
#if defined(__GLIBC__) || defined(__APPLE__)
#include <execinfo.h>
static inline int mallow_return_addresses(void **addresses, int count) { return backtrace(addresses, count); }
#else
static inline int mallow_return_addresses(void **addresses, int count) { return 0; }
#endif

// What dladdr fills. glibc declares it for GNU programs alone, and a header that defines _GNU_SOURCE gives libc's types
// other members than other modules see.
struct mallow_code {
    const char *file;
    void *start;
    const char *symbol;
    void *symbol_start;
};
#if defined(__APPLE__)
extern int mallow_dladdr(const void *address, struct mallow_code *found) __asm__("_dladdr");
#else
extern int mallow_dladdr(const void *address, struct mallow_code *found) __asm__("dladdr");
#endif

// The file and the exported symbol that an address lies in, each null where it is not known; where the file starts.
static inline struct mallow_code mallow_find_code(const void *address) {
    struct mallow_code found = {NULL, NULL, NULL, NULL};
    if (mallow_dladdr(address, &found) == 0) found.file = found.symbol = NULL;
    return found;
}

// Of the Swift runtime: a readable name in memory from malloc, or null where the name is not Swift's.
extern char *swift_demangle(const char *name, size_t length, char *output, size_t *output_size, uint32_t flags);

#endif
