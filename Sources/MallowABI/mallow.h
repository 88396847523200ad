/* mallow.h: Mallow's malloc under its own names, for C and C++ programs that want it beside the system's malloc, or that
 * look at their own memory. A program that preloads libmallow.so, or links libmallow.a, needs no header: malloc and free
 * are Mallow's there.
 *
 * Every function may be called from any thread at any time. Blocks of mallow_malloc are freed by mallow_free, from any
 * thread, and by nothing else (unless malloc is Mallow's: then they are the same).
 */
#ifndef MALLOW_H
#define MALLOW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each is what malloc(3) and posix_memalign(3) say of the function without the prefix. */
void *mallow_malloc(size_t byte_count);
void mallow_free(void *block);
void *mallow_calloc(size_t count, size_t byte_count);
void *mallow_realloc(void *block, size_t byte_count);
void *mallow_reallocarray(void *block, size_t count, size_t byte_count);
int mallow_posix_memalign(void **result, size_t alignment, size_t byte_count);
void *mallow_aligned_alloc(size_t alignment, size_t byte_count);
void *mallow_memalign(size_t alignment, size_t byte_count);
void *mallow_valloc(size_t byte_count);
void *mallow_pvalloc(size_t byte_count);
void mallow_free_sized(void *block, size_t byte_count);
void mallow_free_aligned_sized(void *block, size_t alignment, size_t byte_count);

/* What may be used of a block, in bytes: at least what was asked for. 0 for NULL. */
size_t mallow_usable_size(void *block);

/* What a request would be given, in bytes. */
size_t mallow_good_size(size_t byte_count);

/* A bucket: blocks of exactly the size and alignment of one type, from pages that hold nothing else. Where malloc rounds a
 * structure of 24 or 40 bytes up to 32 or 48, a bucket does not. Sizes that malloc gives exactly, such as 240, come from
 * the same pages as malloc's. All buckets of one size, in whatever source file or library, are the same to malloc.
 *
 *     struct node { struct node *left, *right; long value; };
 *     MALLOW_BUCKET(node);
 *
 *     struct node *root = node_allocate();     or node_allocate_zeroed(), from any thread; NULL and ENOMEM as malloc
 *     node_free(root);                         or mallow_free, from any thread
 *
 * MALLOW_BUCKET_TYPE(type, name) does it for a type that is no structure, or of C++: name_allocate() and so on, memory
 * alone, in which C++ constructs and destroys as anywhere. Both may stand in any number of source files.
 *
 * Of use where there are many blocks of a size that malloc rounds up. Sizes are rounded up to 8 bytes. mallow_usable_size
 * tells the size; a block is aligned as its type is, which may be less than malloc's 16 bytes. Up to 128 sizes have pages
 * of their own in a process; the blocks of further ones, and types above 32 KiB, are as malloc's. So are the first eight
 * blocks of a thread beside 128 others. */
struct mallow_bucket {
    size_t byte_count; /* of the type */
    size_t alignment;  /* of the type: a power of two */
    size_t state;      /* 0; malloc's from then on */
};

/* What the functions that MALLOW_BUCKET defines call. The bucket stays where it is while it is used; its blocks may
 * outlive it. */
void *mallow_bucket_allocate(struct mallow_bucket *bucket);
void *mallow_bucket_allocate_zeroed(struct mallow_bucket *bucket);

#define MALLOW_BUCKET(tag) MALLOW_BUCKET_TYPE(struct tag, tag)

#if defined(__cplusplus)
#define MALLOW_ALIGNMENT_OF(type) alignof(type)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define MALLOW_ALIGNMENT_OF(type) _Alignof(type)
#else
#define MALLOW_ALIGNMENT_OF(type) __alignof__(type)
#endif

#define MALLOW_BUCKET_TYPE(type, name)                                                                       \
    static struct mallow_bucket name##_bucket = {sizeof(type), MALLOW_ALIGNMENT_OF(type), 0};               \
    __attribute__((unused)) static inline type *name##_allocate(void) {                                     \
        return (type *)mallow_bucket_allocate(&name##_bucket);                                              \
    }                                                                                                        \
    __attribute__((unused)) static inline type *name##_allocate_zeroed(void) {                              \
        return (type *)mallow_bucket_allocate_zeroed(&name##_bucket);                                       \
    }                                                                                                        \
    __attribute__((unused)) static inline void name##_free(type *block) { mallow_free((void *)block); }     \
    struct mallow_bucket

/* Gives all free memory back to the operating system, now. Returns 1 if there was any. `padding` is ignored. */
int mallow_trim(size_t padding);

/* Figures of the process's heap. Bytes where nothing else is said. */
struct mallow_statistics {
    /* Since the start; 0 unless MALLOW_STATS is set, since the hit paths do not count. */
    uint64_t requested_bytes;
    uint64_t granted_bytes;
    uint64_t allocations;
    uint64_t frees;
    /* Frees by another thread than the one that the block's heap belongs to. */
    uint64_t remote_frees;
    /* Blocks that the program holds now, and what they hold. */
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t peak_live_bytes; /* 0 unless MALLOW_STATS is set */
    /* Address space; memory (an upper bound of what is resident); memory returned to the operating system. */
    uint64_t mapped_bytes;
    uint64_t committed_bytes;
    uint64_t peak_committed_bytes;
    uint64_t purged_bytes;
    /* Free memory that is kept for a moment, in case it is needed again. */
    uint64_t retained_bytes;
    /* Threads that have a heap now; the most there were; heaps ever made. */
    uint64_t threads;
    uint64_t peak_threads;
    uint64_t heaps;
};

/* Fills `result`. Costs microseconds a megabyte of heap. */
void mallow_statistics(struct mallow_statistics *result);

/* Writes a readable report to standard error: what malloc_stats does under Mallow. */
void mallow_print_statistics(void);

/* First-class heaps: blocks of one purpose together, to free them at once, to look at them, or to count them apart.
 *
 * Any thread may allocate from a heap and free its blocks; a lock is taken for it, so a heap for each thread or task is
 * faster than one that many use. A page of 64 KiB belongs to one heap: many heaps with few blocks each cost memory. Where
 * a heap is asked for, NULL stands for the default heap, that of malloc; mallow_heap_visit refuses it. In the child of a
 * fork every heap is as it was.
 */
typedef struct mallow_heap mallow_heap;

/* A heap without a block, or NULL with errno ENOMEM. It takes pages with its first block. */
mallow_heap *mallow_heap_new(void);

/* As the functions without heap_, but the block is the heap's. */
void *mallow_heap_malloc(mallow_heap *heap, size_t byte_count);
void *mallow_heap_calloc(mallow_heap *heap, size_t count, size_t byte_count);
void *mallow_heap_aligned(mallow_heap *heap, size_t alignment, size_t byte_count);

/* The result is the heap's, whatever heap the block was of. mallow_realloc leaves a block to the heap that it is of. */
void *mallow_heap_realloc(mallow_heap *heap, void *block, size_t byte_count);

/* Frees a block of this heap; of another's, it ends the program with a message. mallow_free frees blocks of any heap. */
void mallow_heap_free(mallow_heap *heap, void *block);

/* Frees all blocks of the heap at once, and ends it: costs pages, not blocks. No other thread may use the heap or free
 * blocks of it meanwhile. Nothing happens to NULL. */
void mallow_heap_destroy(mallow_heap *heap);

/* Ends the heap. Its live blocks are the default heap's from now on; nothing is copied. Other threads may free blocks of
 * it meanwhile, and not allocate from it. Nothing happens to NULL. */
void mallow_heap_delete(mallow_heap *heap);

/* Calls the visitor with each live block of the heap and what may be used of it, in bytes, until it returns another
 * number than 0, which is the result.
 *
 * The visitor may read and write the block, free it or others, and use malloc and other heaps. It may not allocate from
 * this heap, resize, visit, destroy or delete, nor fork: such a call ends the program with a message, or never returns
 * where another thread makes it for the visitor. A block that another thread frees meanwhile may be visited or not. The
 * default heap cannot be visited: -1 and EINVAL. */
typedef int mallow_heap_visitor(void *context, void *block, size_t byte_count);
int mallow_heap_visit(mallow_heap *heap, mallow_heap_visitor *visitor, void *context);

/* Figures of one heap. Bytes where nothing else is said. */
struct mallow_heap_statistics {
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t committed_bytes; /* an upper bound of what is resident */
    uint64_t pages;           /* of 64 KiB, with blocks of up to 32 KiB */
    uint64_t large_blocks;    /* those of the live blocks that are larger */
    uint64_t large_bytes;
};

/* Fills `result`. Costs microseconds a megabyte of the heap. */
void mallow_heap_statistics(mallow_heap *heap, struct mallow_heap_statistics *result);

/* The heap that a block is of; NULL for the default heap's, and for any address that is not in a block of Mallow's. */
mallow_heap *mallow_heap_of(const void *block);

/* Whether an address lies in memory of this heap: 1 for every live block of it. Any address may be asked about. */
int mallow_heap_owns(mallow_heap *heap, const void *address);

/* Gives back what the calling thread holds and does not use, while it is idle: for the threads of a pool, before a long
 * wait. The thread may go on as if nothing had been; its next blocks cost as much as its first. */
void mallow_thread_idle(void);

#ifdef __cplusplus
}
#endif

#endif
