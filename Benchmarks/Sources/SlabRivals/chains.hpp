// Chains: a list that is built at its end and released by its head, in the forms that a C++ program has.
#pragma once

#include "references.hpp"

#include <utility>

namespace bench {

/// A list of blocks that nobody counts: the least that a chain can cost.
struct PlainChain {
    struct Node {
        Node *next;
        char data[SLAB_BLOCK_SIZE];
    };
    using Handle = Node *;
    static Handle allocate() {
        Node *node = static_cast<Node *>(malloc(sizeof(Node)));
        node->next = nullptr;
        return node;
    }
    static Handle append(Handle last, Handle node) { return last->next = node; }
    static void release(Handle node) {
        while (node != nullptr) {
            Node *next = node->next;
            free(node);
            node = next;
        }
    }
};

/// A node holds a reference to the next, which it gets from the caller: no count changes.
struct CountedChain {
    struct Node {
        std::atomic<uint32_t> count;
        Node *next;
        char data[SLAB_BLOCK_SIZE];
    };
    using Handle = Node *;
    static Handle allocate() {
        Node *node = static_cast<Node *>(malloc(sizeof(Node)));
        new (&node->count) std::atomic<uint32_t>(1);
        node->next = nullptr;
        return node;
    }
    static Handle append(Handle last, Handle node) { return last->next = node; }
    static void release(Handle node) {
        while (node != nullptr && node->count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            Node *next = node->next;
            free(node);
            node = next;
        }
    }
};

/// A std::shared_ptr is the link. It releases the rest of its chain by recursion.
struct SharedChain {
    struct Node {
        std::shared_ptr<Node> next;
        char data[SLAB_BLOCK_SIZE];
    };
    using Handle = std::shared_ptr<Node>;
    static Handle allocate() { return std::make_shared_for_overwrite<Node>(); }
    static Node *append(Node *last, Handle node) {
        last->next = std::move(node);
        return last->next.get();
    }
    static void release(Handle &head) { head.reset(); }
};

inline char *data(PlainChain::Node *node) { return node->data; }
inline char *data(CountedChain::Node *node) { return node->data; }
inline char *data(const std::shared_ptr<SharedChain::Node> &node) { return node->data; }

template <class Memory> struct Chain final : bench_rival {
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            auto make = [](size_t index) {
                auto node = Memory::allocate();
                *data(node) = static_cast<char>(index);
                bench_sink(data(node));
                return node;
            };
            auto head = make(0);
            auto *last = &*head;
            for (size_t index = 1; index < input.block_count; index++) last = Memory::append(last, make(index));
            Memory::release(head);
        }
        return bench_now() - start;
    }
};

}  // namespace bench
