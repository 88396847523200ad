// A rival: a workload's loop in C++, with the memory that it keeps from run to run.
#pragma once

#include "CBenchSupport.h"

struct bench_rival {
    virtual ~bench_rival() = default;
    virtual uint64_t run(const bench_input &input) = 0;
    virtual uint64_t bytes_when_full(const bench_input &) { return 0; }
    virtual void extras(const bench_input &, double *) {}
};

namespace bench {

template <class Rival> bench_rival *make_rival() { return new Rival; }

template <class Rival> bench_entry rival(const char *name, bool has_column = true) {
    return {name, make_rival<Rival>, has_column};
}

}  // namespace bench
