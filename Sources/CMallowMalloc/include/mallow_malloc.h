// What the assembly file beside this header says of itself to Swift.
#ifndef MALLOW_MALLOC_H
#define MALLOW_MALLOC_H

// Whether this build of the program gives malloc and the names around it to Mallow. Not where a sanitizer brings a
// malloc of its own, and not where the builder says so: swift build -Xcc -DMALLOW_USE_SYSTEM_MALLOC
#if !defined(__linux__) || defined(MALLOW_USE_SYSTEM_MALLOC)
#define MALLOW_REPLACES_MALLOC 0
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOW_REPLACES_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(hwaddress_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define MALLOW_REPLACES_MALLOC 0
#endif
#endif
#ifndef MALLOW_REPLACES_MALLOC
#define MALLOW_REPLACES_MALLOC 1
#endif

#ifndef __ASSEMBLER__
int mallow_replaces_malloc(void);
#endif

#endif
