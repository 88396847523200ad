/* The second source file of buckets.c, with buckets of its own for the same types. */
#include "buckets.h"

DEFINE_MAKERS(others_makers);
