// Gives an executable's malloc to Mallow: each name of Sources/MallowABI/exports.txt, as a jump to the function behind it.
//
// All of them, since those that were left out would come from libc's malloc.o, and all the others with them. In assembly,
// because Swift may not declare `malloc`, and an object file because a static library's `malloc` would be taken too late,
// or not at all: SwiftPM puts the objects of a package's targets on the link line as they are. So the linker binds every
// reference in the program to these, and exports them to the shared libraries it needs, libc among them.
#include "mallow_malloc.h"

#if MALLOW_REPLACES_MALLOC

#if defined(__x86_64__)
#define JUMP jmp
#elif defined(__aarch64__)
#define JUMP b
#endif

    .macro name exported, function
    .globl \exported
    .type \exported, %function
    .p2align 4
\exported:
    JUMP \function
    .size \exported, . - \exported
    .endm

    .text
    name malloc, mallow_impl_malloc
    name free, mallow_impl_free
    name calloc, mallow_impl_calloc
    name realloc, mallow_impl_realloc
    name reallocarray, mallow_impl_reallocarray
    name posix_memalign, mallow_impl_posix_memalign
    name aligned_alloc, mallow_impl_aligned_alloc
    name memalign, mallow_impl_memalign
    name valloc, mallow_impl_valloc
    name pvalloc, mallow_impl_pvalloc
    name cfree, mallow_impl_free
    name malloc_usable_size, mallow_impl_usable_size
    name malloc_good_size, mallow_impl_good_size
    name malloc_trim, mallow_impl_trim
    name malloc_stats, mallow_impl_print_statistics
    name mallinfo, mallow_impl_mallinfo
    name mallinfo2, mallow_impl_mallinfo2
    name malloc_info, mallow_impl_malloc_info
    name mallopt, mallow_impl_mallopt
    name free_sized, mallow_impl_free_sized
    name free_aligned_sized, mallow_impl_free_aligned_sized
    name __libc_malloc, mallow_impl_malloc
    name __libc_free, mallow_impl_free
    name __libc_calloc, mallow_impl_calloc
    name __libc_realloc, mallow_impl_realloc
    name __libc_memalign, mallow_impl_memalign
    name mallow_malloc, mallow_impl_malloc
    name mallow_free, mallow_impl_free
    name mallow_calloc, mallow_impl_calloc
    name mallow_realloc, mallow_impl_realloc
    name mallow_reallocarray, mallow_impl_reallocarray
    name mallow_posix_memalign, mallow_impl_posix_memalign
    name mallow_aligned_alloc, mallow_impl_aligned_alloc
    name mallow_memalign, mallow_impl_memalign
    name mallow_valloc, mallow_impl_valloc
    name mallow_pvalloc, mallow_impl_pvalloc
    name mallow_usable_size, mallow_impl_usable_size
    name mallow_good_size, mallow_impl_good_size
    name mallow_trim, mallow_impl_trim
    name mallow_print_statistics, mallow_impl_print_statistics
    name mallow_free_sized, mallow_impl_free_sized
    name mallow_free_aligned_sized, mallow_impl_free_aligned_sized
    name mallow_statistics, mallow_impl_statistics
    name mallow_bucket_allocate, mallow_impl_bucket_allocate
    name mallow_bucket_allocate_zeroed, mallow_impl_bucket_allocate_zeroed
    name mallow_heap_new, mallow_impl_heap_new
    name mallow_heap_malloc, mallow_impl_heap_malloc
    name mallow_heap_calloc, mallow_impl_heap_calloc
    name mallow_heap_realloc, mallow_impl_heap_realloc
    name mallow_heap_aligned, mallow_impl_heap_aligned
    name mallow_heap_free, mallow_impl_heap_free
    name mallow_heap_destroy, mallow_impl_heap_destroy
    name mallow_heap_delete, mallow_impl_heap_delete
    name mallow_heap_visit, mallow_impl_heap_visit
    name mallow_heap_statistics, mallow_impl_heap_statistics
    name mallow_heap_of, mallow_impl_heap_of
    name mallow_heap_owns, mallow_impl_heap_owns
    name mallow_thread_idle, mallow_impl_thread_idle

#endif

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
