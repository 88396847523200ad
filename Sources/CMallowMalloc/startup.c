// What an executable does with its malloc before and after everything else of its own: settings from the environment, and
// the report. The functions are Sources/MallowABI/Startup.swift's.
#include "mallow_malloc.h"

// Not inline: what is asked is how this target was built, not how its reader was.
int mallow_replaces_malloc(void) { return MALLOW_REPLACES_MALLOC; }

#if MALLOW_REPLACES_MALLOC

void mallow_impl_start(void);
void mallow_impl_end(void);

// The first of the executable's initialisers that are not the compiler's, and the last of its destructors: a program's
// own may start threads, and may still allocate.
__attribute__((constructor(101))) static void start(void) { mallow_impl_start(); }
__attribute__((destructor(101))) static void end(void) { mallow_impl_end(); }

#endif
