// What the programs ask of C and C++: whose a block is, what came before main, libraries that allocate.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// malloc_usable_size, which Foundation does not show.
size_t probe_usable_size(const void *block);

// The usable size of a block of 100 bytes that a constructor allocated, before main.
size_t probe_size_before_main(void);

// Whether the break was ever moved, as glibc's malloc does with its first block. 0 in a static program, where glibc
// itself moves it, for the variables of the first thread.
int probe_has_heap_of_glibc(void);

// Whether a thread of this process has the name, now.
int probe_has_thread(const char *name);

// A std::vector of so many std::strings of so many characters; its blocks are one and one each.
void *probe_make_strings(int count, int length);
void probe_end_strings(void *strings);

#ifdef __cplusplus
}
#endif
