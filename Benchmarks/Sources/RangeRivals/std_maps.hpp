// The usual way to allocate ranges by best fit: a std::map of the free ranges by offset, and a std::set of them by
// size.
//
// A space in this form is what workloads.hpp wants. What stands for a range that was allocated (`Held`) is 64 bits that
// are not 0, of which `release` makes the range again; freeing needs nothing else, and joins what touches.
#pragma once

#include "rival.hpp"

#include <cstdlib>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace bench {

using Held = uint64_t;

/// Counts fit in 24 bits here, and offsets in 40.
inline Held hold(uint64_t offset, uint64_t count) { return offset << 24 | count; }
inline uint64_t offset_of(Held held) { return held >> 24; }
inline uint64_t count_of(Held held) { return held & 0xffffff; }

constexpr uint64_t nowhere = UINT64_MAX;

/// `keeps_nodes`: a range that changes keeps its nodes, which are taken out of the trees and put back, so that malloc
/// and free are called only where the number of free ranges changes. Otherwise it is erased and made anew.
template <bool keeps_nodes> class StdMaps {
    std::map<uint64_t, uint64_t> by_offset;
    std::set<std::pair<uint64_t, uint64_t>> by_size;
    uint64_t free;

    void resize(uint64_t offset, uint64_t count, uint64_t new_offset, uint64_t new_count) {
        if constexpr (keeps_nodes) {
            auto node = by_size.extract({count, offset});
            node.value() = {new_count, new_offset};
            by_size.insert(std::move(node));
        } else {
            by_size.erase({count, offset});
            by_size.emplace(new_count, new_offset);
        }
    }

public:
    explicit StdMaps(uint64_t size) : by_offset{{0, size}}, by_size{{size, 0}}, free(size) {}

    Held allocate(uint64_t count) {
        const auto found = by_size.lower_bound({count, 0});
        if (found == by_size.end()) return 0;
        const auto [size, offset] = *found;
        const auto range = by_offset.find(offset);
        const auto after = std::next(range);
        free -= count;
        if (size == count) {
            by_size.erase(found);
            by_offset.erase(range);
        } else if constexpr (keeps_nodes) {
            auto sized = by_size.extract(found);
            sized.value() = {size - count, offset + count};
            by_size.insert(std::move(sized));
            auto node = by_offset.extract(range);
            node.key() = offset + count;
            node.mapped() = size - count;
            by_offset.insert(after, std::move(node));
        } else {
            by_size.erase(found);
            by_size.emplace(size - count, offset + count);
            by_offset.erase(range);
            by_offset.emplace_hint(after, offset + count, size - count);
        }
        return hold(offset, count);
    }

    void release(Held held) {
        const uint64_t offset = offset_of(held), count = count_of(held);
        const auto next = by_offset.lower_bound(offset);
        const bool joins_next = next != by_offset.end() && next->first == offset + count;
        if (next != by_offset.end() && next->first < offset + count) abort();
        free += count;
        if (next != by_offset.begin()) {
            const auto previous = std::prev(next);
            if (previous->first + previous->second > offset) abort();
            if (previous->first + previous->second == offset) {
                uint64_t joined = previous->second + count;
                if (joins_next) {
                    joined += next->second;
                    by_size.erase({next->second, next->first});
                    by_offset.erase(next);
                }
                resize(previous->first, previous->second, previous->first, joined);
                previous->second = joined;
                return;
            }
        }
        if (!joins_next) {
            by_offset.emplace_hint(next, offset, count);
            by_size.emplace(count, offset);
            return;
        }
        const uint64_t joined = count + next->second;
        resize(next->first, next->second, offset, joined);
        const auto after = std::next(next);
        if constexpr (keeps_nodes) {
            auto node = by_offset.extract(next);
            node.key() = offset;
            node.mapped() = joined;
            by_offset.insert(after, std::move(node));
        } else {
            by_offset.erase(next);
            by_offset.emplace_hint(after, offset, joined);
        }
    }

    uint64_t find(uint64_t count) const {
        const auto found = by_size.lower_bound({count, 0});
        return found == by_size.end() ? nowhere : found->second;
    }
    uint64_t free_count() const { return free; }
    uint64_t largest_free() const { return by_size.empty() ? 0 : by_size.rbegin()->first; }
    uint64_t free_ranges() const { return by_offset.size(); }
};

}  // namespace bench
