// The rivals' memory, in the form that workloads.hpp wants.
//
// `begin` and `end` stand around a phase of growing and shrinking: a memory that is New starts from nothing there and
// gives everything back, as Mallow's pools give their pages back when they drain; the others keep what they have.
#pragma once

#include <cstdlib>
#include <memory_resource>
#include <optional>

namespace bench {

struct Malloc {
    void begin() {}
    void end() {}
    void *allocate(size_t size) { return malloc(size); }
    void deallocate(void *block, size_t) { free(block); }
};

/// A pool resource with its standard options: chunks that grow geometrically. `alignment` is what the requests need:
/// the resource rounds a block up to it.
template <class Resource, size_t alignment> struct Pmr {
    Resource resource;
    void begin() {}
    void end() {}
    void *allocate(size_t size) { return resource.allocate(size, alignment); }
    void deallocate(void *block, size_t size) { resource.deallocate(block, size, alignment); }
};

template <class Resource, size_t alignment> struct NewPmr {
    std::optional<Resource> resource;
    void begin() { resource.emplace(); }
    void end() { resource.reset(); }
    void *allocate(size_t size) { return resource->allocate(size, alignment); }
    void deallocate(void *block, size_t size) { resource->deallocate(block, size, alignment); }
};

/// Takes its chunks from operator new, and gives them back at each reset, as it does by itself.
template <size_t alignment> struct Monotonic {
    std::pmr::monotonic_buffer_resource resource;
    void *allocate(size_t size) { return resource.allocate(size, alignment); }
    void reset() { resource.release(); }
};

/// Starts in a buffer of the caller's, which it has again after each reset.
template <size_t alignment, size_t capacity> struct MonotonicInBuffer {
    char *buffer = static_cast<char *>(malloc(capacity));
    std::pmr::monotonic_buffer_resource resource{buffer, capacity};
    MonotonicInBuffer() = default;
    MonotonicInBuffer(const MonotonicInBuffer &) = delete;
    ~MonotonicInBuffer() { free(buffer); }
    void *allocate(size_t size) { return resource.allocate(size, alignment); }
    void reset() { resource.release(); }
};

/// The same, for a resource that is made anew each time: the buffer is on the stack.
template <size_t alignment, size_t capacity> struct MonotonicOnStack {
    alignas(alignment) char buffer[capacity];
    std::pmr::monotonic_buffer_resource resource{buffer, capacity};
    void *allocate(size_t size) { return resource.allocate(size, alignment); }
};

}  // namespace bench
