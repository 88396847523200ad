// The workloads, as templates over the memory that they use. Loops.swift of AllocatorBench holds the same loops, line
// by line, over Mallow's allocators.
//
// A Memory has `void *allocate(size_t)`, `void deallocate(void *, size_t)`, and `begin` and `end` (memories.hpp); an
// arena has `allocate` and `reset`. Every block is written once: memory that nobody touches costs nothing.
#pragma once

#include "rival.hpp"
#include "rivals.h"

namespace bench {

inline void use(void *block, size_t value) {
    *static_cast<uint32_t *>(block) = static_cast<uint32_t>(value);
    bench_sink(block);
}

template <class Memory> struct Temporary final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            void *block = memory.allocate(64);
            use(block, step);
            memory.deallocate(block, 64);
        }
        return bench_now() - start;
    }
};

/// Blocks of `size` bytes, then freed in the order in which they were allocated.
template <class Memory, size_t size> struct GrowShrink final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        void **blocks = input.blocks;
        const uint64_t start = bench_now();
        memory.begin();
        for (size_t step = 0; step < input.count; step++) {
            void *block = memory.allocate(size);
            use(block, step);
            blocks[step] = block;
        }
        for (size_t step = 0; step < input.count; step++) memory.deallocate(blocks[step], size);
        memory.end();
        return bench_now() - start;
    }
};

template <class Memory> struct Ladder final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        size_t next = 0;
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            const size_t size = input.sizes[next];
            next = next + 1 == input.size_count ? 0 : next + 1;
            void *block = memory.allocate(size);
            use(block, step);
            memory.deallocate(block, size);
        }
        return bench_now() - start;
    }
};

template <class Memory> struct LadderGrow final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        void **blocks = input.blocks;
        size_t next = 0;
        const uint64_t start = bench_now();
        memory.begin();
        for (size_t step = 0; step < input.count; step++) {
            const size_t size = input.sizes[next];
            next = next + 1 == input.size_count ? 0 : next + 1;
            void *block = memory.allocate(size);
            use(block, step);
            blocks[step] = block;
        }
        next = 0;
        for (size_t step = 0; step < input.count; step++) {
            const size_t size = input.sizes[next];
            next = next + 1 == input.size_count ? 0 : next + 1;
            memory.deallocate(blocks[step], size);
        }
        memory.end();
        return bench_now() - start;
    }
};

/// Two blocks of 64 bytes, then both freed: what an arena does at once, malloc does one by one.
template <class Memory> struct TwoBlocks final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            void *first = memory.allocate(64);
            use(first, step);
            void *second = memory.allocate(64);
            use(second, step);
            memory.deallocate(first, 64);
            memory.deallocate(second, 64);
        }
        return bench_now() - start;
    }
};

template <class Arena> struct TwoBlocksArenaReused final : bench_rival {
    Arena arena;
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            use(arena.allocate(64), step);
            use(arena.allocate(64), step);
            arena.reset();
        }
        return bench_now() - start;
    }
};

template <class Arena> struct TwoBlocksArenaNew final : bench_rival {
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            Arena arena;
            use(arena.allocate(64), step);
            use(arena.allocate(64), step);
        }
        return bench_now() - start;
    }
};

/// Blocks of 64 bytes, freed in a random order.
template <class Memory> struct RandomOrder final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        void **blocks = input.blocks;
        const uint64_t start = bench_now();
        memory.begin();
        for (size_t step = 0; step < input.count; step++) {
            void *block = memory.allocate(64);
            use(block, step);
            blocks[step] = block;
        }
        for (size_t step = 0; step < input.count; step++) memory.deallocate(blocks[input.order[step]], 64);
        memory.end();
        return bench_now() - start;
    }
    uint64_t bytes_when_full(const bench_input &input) override {
        const uint64_t before = bench_malloc_bytes();
        memory.begin();
        for (size_t step = 0; step < input.count; step++) {
            input.blocks[step] = memory.allocate(64);
            use(input.blocks[step], step);
        }
        const uint64_t full = bench_malloc_bytes();
        for (size_t step = 0; step < input.count; step++) memory.deallocate(input.blocks[step], 64);
        memory.end();
        return full - before;
    }
};

/// As many live blocks of 64 bytes as `block_count`; each step replaces a random one.
template <class Memory> struct RandomReplace final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        void **blocks = input.blocks;
        for (size_t slot = 0; slot < input.block_count; slot++) blocks[slot] = memory.allocate(64);
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            void **slot = blocks + input.order[step];
            memory.deallocate(*slot, 64);
            *slot = memory.allocate(64);
            use(*slot, step);
        }
        const uint64_t elapsed = bench_now() - start;
        for (size_t slot = 0; slot < input.block_count; slot++) memory.deallocate(blocks[slot], 64);
        return elapsed;
    }
};

/// Level by level: a node becomes a child of one that is there.
template <class Memory> void build_tree(Memory &memory, const bench_input &input) {
    auto **nodes = reinterpret_cast<bench_node **>(input.blocks);
    for (size_t index = 0; index < input.block_count; index++) {
        auto *node = static_cast<bench_node *>(memory.allocate(sizeof(bench_node)));
        *node = bench_node{nullptr, nullptr, index};
        bench_sink(node);
        nodes[index] = node;
        if (index == 0) continue;
        bench_node *parent = nodes[(index - 1) / 2];
        (index % 2 == 1 ? parent->left : parent->right) = node;
    }
}

/// A step builds a tree of `block_count` nodes and frees them one by one.
template <class Memory> struct Tree final : bench_rival {
    Memory memory;
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            build_tree(memory, input);
            for (size_t index = 0; index < input.block_count; index++) {
                memory.deallocate(input.blocks[index], sizeof(bench_node));
            }
        }
        return bench_now() - start;
    }
};

/// A step builds a tree of `block_count` nodes and frees them at once.
template <class Arena> struct TreeInArena final : bench_rival {
    Arena arena;
    uint64_t run(const bench_input &input) override {
        const uint64_t start = bench_now();
        for (size_t step = 0; step < input.count; step++) {
            build_tree(arena, input);
            arena.reset();
        }
        return bench_now() - start;
    }
};

}  // namespace bench
