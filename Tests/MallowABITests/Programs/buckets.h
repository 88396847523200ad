/* What the source files of the program buckets.c share: types with buckets, which each file defines for itself. */
#ifndef BUCKETS_H
#define BUCKETS_H

#include <mallow.h>

struct triple {
    void *first, *second, *third;
};
struct five {
    long values[5];
};
struct thirty {
    long values[30];
};

MALLOW_BUCKET(triple);
MALLOW_BUCKET(five);
MALLOW_BUCKET(thirty);

struct makers {
    struct triple *(*triple)(void);
    struct five *(*five)(void);
    struct thirty *(*thirty)(void);
    void (*free)(struct triple *, struct five *, struct thirty *);
};

/* Those of buckets_other.c. */
extern const struct makers others_makers;

#define DEFINE_MAKERS(name)                                                            \
    static void name##_free(struct triple *triple, struct five *five, struct thirty *thirty) \
    {                                                                                  \
        triple_free(triple);                                                           \
        five_free(five);                                                               \
        thirty_free(thirty);                                                           \
    }                                                                                  \
    const struct makers name = {triple_allocate, five_allocate, thirty_allocate, name##_free}

#endif
