/* The library that buckets.c loads and unloads, with buckets of its own for the same types. */
#include "buckets.h"

DEFINE_MAKERS(plugins_makers);
