#include "mallow_malloc.h"

// Not inline: what is asked is how this target was built, not how its reader was.
int mallow_replaces_malloc(void) { return MALLOW_REPLACES_MALLOC; }
