// The rivals' blocks, in the form that workloads.hpp wants: a Handle is what a program keeps to have a reference.
#pragma once

#include "rival.hpp"
#include "slab_rivals.h"

#include <pthread.h>
#include <sys/single_threaded.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace bench {

/// Blocks without a count: each has one owner.
struct Malloc {
    using Handle = char *;
    static Handle allocate(size_t size) { return static_cast<char *>(malloc(size)); }
    static void release(Handle handle) { free(handle); }
    static char *data(Handle handle) { return handle; }
    static const void *address(const Handle &handle) { return handle; }
};

/// A count in front of the data. It takes eight bytes, so that the data is aligned to eight, as a chunk is.
struct CountedMalloc {
    struct Header {
        std::atomic<uint32_t> count;
        /// The block's slot, where there is a table of them (SlotMap).
        uint32_t slot;
    };
    using Handle = Header *;
    static Handle allocate(size_t size) { return new (malloc(sizeof(Header) + size)) Header{1, 0}; }
    static Handle add(Handle handle) {
        handle->count.fetch_add(1, std::memory_order_relaxed);
        return handle;
    }
    static void release(Handle handle) {
        // What other owners wrote happens before the memory is freed.
        if (handle->count.fetch_sub(1, std::memory_order_acq_rel) == 1) free(handle);
    }
    static char *data(Handle handle) { return reinterpret_cast<char *>(handle + 1); }
    static const void *address(const Handle &handle) { return handle; }
};

/// A std::shared_ptr. `address` is that of the pointer: what is done to it happens in memory.
template <std::shared_ptr<char[]> make(size_t)> struct Shared {
    using Handle = std::shared_ptr<char[]>;
    static Handle allocate(size_t size) { return make(size); }
    static Handle add(const Handle &handle) { return handle; }
    static void release(Handle &handle) { handle.reset(); }
    static char *data(const Handle &handle) { return handle.get(); }
    static const void *address(const Handle &handle) { return &handle; }
};

/// The count and the data in one block, which is not filled with zeros: the fastest that there is.
inline std::shared_ptr<char[]> make_shared_array(size_t size) {
    return std::make_shared_for_overwrite<char[]>(size);
}

/// The count in a block of its own.
inline std::shared_ptr<char[]> make_from_new(size_t size) { return std::shared_ptr<char[]>(new char[size]); }

using MakeShared = Shared<make_shared_array>;
using NewArray = Shared<make_from_new>;

/// A second thread that waits. As long as there is none, libstdc++'s std::shared_ptr counts without atomic operations,
/// and glibc's malloc takes no lock.
class SecondThread {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;

    static void *wait(void *mutex) {
        pthread_mutex_lock(static_cast<pthread_mutex_t *>(mutex));
        pthread_mutex_unlock(static_cast<pthread_mutex_t *>(mutex));
        return nullptr;
    }

public:
    SecondThread() {
        pthread_mutex_lock(&mutex);
        if (pthread_create(&thread, nullptr, wait, &mutex) != 0 || __libc_single_threaded) abort();
    }
    SecondThread(const SecondThread &) = delete;
    ~SecondThread() {
        pthread_mutex_unlock(&mutex);
        pthread_join(thread, nullptr);
    }
};

/// The same workload in a process with two threads.
template <class Rival> struct Threaded final : bench_rival {
    SecondThread thread;
    Rival rival;
    uint64_t run(const bench_input &input) override { return rival.run(input); }
    uint64_t bytes_when_full(const bench_input &input) override { return rival.bytes_when_full(input); }
};

}  // namespace bench
