// The same in Boost.Intrusive, where Boost is installed (libboost-dev): a free range is one node of 64 bytes that hangs
// in two red-black trees, and stays there where an end of it moves. Nodes come from a list of free ones.
#pragma once

#include "std_maps.hpp"

#if __has_include(<boost/intrusive/set.hpp>)
#define BENCH_HAS_BOOST 1

#include <boost/intrusive/set.hpp>
#include <boost/version.hpp>

#include <memory>
#include <vector>

namespace bench {

class BoostTrees {
    using Hook = boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>;

    struct Node {
        uint64_t offset;
        uint64_t count;
        Hook offset_hook;
        Hook size_hook;
    };
    struct Size {
        uint64_t count;
        uint64_t offset;
    };
    struct OffsetOfNode {
        using type = uint64_t;
        const type &operator()(const Node &node) const { return node.offset; }
    };
    struct SizeOfNode {
        using type = Size;
        type operator()(const Node &node) const { return {node.count, node.offset}; }
    };
    struct SizeOrder {
        bool operator()(const Size &a, const Size &b) const {
            return a.count != b.count ? a.count < b.count : a.offset < b.offset;
        }
    };
    using ByOffset = boost::intrusive::set<
        Node, boost::intrusive::member_hook<Node, Hook, &Node::offset_hook>,
        boost::intrusive::key_of_value<OffsetOfNode>, boost::intrusive::constant_time_size<false>>;
    using BySize = boost::intrusive::set<
        Node, boost::intrusive::member_hook<Node, Hook, &Node::size_hook>,
        boost::intrusive::key_of_value<SizeOfNode>, boost::intrusive::compare<SizeOrder>,
        boost::intrusive::constant_time_size<false>>;

    static constexpr size_t nodes_per_block = 1024;
    std::vector<std::unique_ptr<Node[]>> blocks;
    std::vector<Node *> unused;
    ByOffset by_offset;
    BySize by_size;
    uint64_t free;

    Node *make(uint64_t offset, uint64_t count) {
        if (unused.empty()) {
            blocks.push_back(std::make_unique<Node[]>(nodes_per_block));
            for (size_t index = nodes_per_block; index-- > 0;) unused.push_back(&blocks.back()[index]);
        }
        Node *node = unused.back();
        unused.pop_back();
        node->offset = offset;
        node->count = count;
        return node;
    }

    /// The node leaves its place by size, and gets another; by offset it stays where it is.
    void resize(Node &node, uint64_t offset, uint64_t count) {
        by_size.erase(by_size.iterator_to(node));
        node.offset = offset;
        node.count = count;
        by_size.insert(node);
    }

    void drop(Node &node) {
        by_size.erase(by_size.iterator_to(node));
        by_offset.erase(by_offset.iterator_to(node));
        unused.push_back(&node);
    }

public:
    explicit BoostTrees(uint64_t size) : free(size) {
        Node *node = make(0, size);
        by_offset.insert(*node);
        by_size.insert(*node);
    }
    BoostTrees(const BoostTrees &) = delete;
    ~BoostTrees() {
        by_size.clear();
        by_offset.clear();
    }

    Held allocate(uint64_t count) {
        const auto found = by_size.lower_bound(Size{count, 0});
        if (found == by_size.end()) return 0;
        Node &node = *found;
        const uint64_t offset = node.offset;
        free -= count;
        if (node.count == count) {
            drop(node);
        } else {
            resize(node, offset + count, node.count - count);
        }
        return hold(offset, count);
    }

    void release(Held held) {
        const uint64_t offset = offset_of(held), count = count_of(held);
        const auto next = by_offset.lower_bound(offset);
        const bool joins_next = next != by_offset.end() && next->offset == offset + count;
        if (next != by_offset.end() && next->offset < offset + count) abort();
        free += count;
        if (next != by_offset.begin()) {
            Node &previous = *std::prev(next);
            if (previous.offset + previous.count > offset) abort();
            if (previous.offset + previous.count == offset) {
                uint64_t joined = previous.count + count;
                if (joins_next) {
                    joined += next->count;
                    drop(*next);
                }
                resize(previous, previous.offset, joined);
                return;
            }
        }
        if (joins_next) {
            resize(*next, offset, count + next->count);
            return;
        }
        Node *node = make(offset, count);
        by_offset.insert_before(next, *node);
        by_size.insert(*node);
    }

    uint64_t find(uint64_t count) const {
        const auto found = by_size.lower_bound(Size{count, 0});
        return found == by_size.end() ? nowhere : found->offset;
    }
    uint64_t free_count() const { return free; }
    uint64_t largest_free() const { return by_size.empty() ? 0 : by_size.rbegin()->count; }
    uint64_t free_ranges() const { return by_offset.size(); }
};

}  // namespace bench
#endif
