// Boost.Pool in the form that workloads.hpp wants, where Boost is installed (libboost-dev).
//
// Its fastest use: `malloc` and `free`, which keep no order and check nothing. It never gives memory back by itself.
#pragma once

#if __has_include(<boost/pool/pool.hpp>)
#define BENCH_HAS_BOOST 1

#include <boost/pool/pool.hpp>
#include <boost/version.hpp>

#include <optional>

namespace bench {

using BoostPoolOfMalloc = boost::pool<boost::default_user_allocator_malloc_free>;

/// `first` is how many blocks the first chunk has; each later one has twice as many, as Boost does by itself.
template <size_t size, size_t first> struct BoostPool {
    BoostPoolOfMalloc pool{size, first};
    void begin() {}
    void end() {}
    void *allocate(size_t) { return pool.malloc(); }
    void deallocate(void *block, size_t) { pool.free(block); }
};

template <size_t size, size_t first> struct NewBoostPool {
    std::optional<BoostPoolOfMalloc> pool;
    void begin() { pool.emplace(size, first); }
    void end() { pool.reset(); }
    void *allocate(size_t) { return pool->malloc(); }
    void deallocate(void *block, size_t) { pool->free(block); }
};

}  // namespace bench
#endif
