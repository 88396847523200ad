// The Vulkan Memory Allocator's virtual blocks, which allocate ranges of nothing in particular, where its header is
// (Debian's libvulkan-memory-allocator-dev, from Debian 13 on; Scripts/fetch-vma.sh). They keep a record of every
// range, used or free, in lists by size (TLSF); a range is freed by the handle that came with it, whole.
#pragma once

#include "rival.hpp"

#include <cstdlib>

#if __has_include(<vk_mem_alloc.h>)
#define BENCH_HAS_VMA 1

// Not a function of Vulkan is called, and none is linked.
#define VMA_STATIC_VULKAN_FUNCTIONS 0
#define VMA_DYNAMIC_VULKAN_FUNCTIONS 0
#include <vk_mem_alloc.h>

namespace bench {

class VirtualBlock {
    VmaVirtualBlock block;
    uint64_t size;

public:
    explicit VirtualBlock(uint64_t size) : size(size) {
        VmaVirtualBlockCreateInfo information = {};
        information.size = size;
        if (vmaCreateVirtualBlock(&information, &block) != VK_SUCCESS) abort();
    }
    VirtualBlock(const VirtualBlock &) = delete;
    ~VirtualBlock() {
        // It complains of what is still allocated.
        vmaClearVirtualBlock(block);
        vmaDestroyVirtualBlock(block);
    }

    uint64_t allocate(uint64_t count) {
        VmaVirtualAllocationCreateInfo information = {};
        information.size = count;
        VmaVirtualAllocation made;
        if (vmaVirtualAllocate(block, &information, &made, nullptr) != VK_SUCCESS) return 0;
        return reinterpret_cast<uint64_t>(made);
    }
    void release(uint64_t held) { vmaVirtualFree(block, reinterpret_cast<VmaVirtualAllocation>(held)); }
    uint64_t free_count() const {
        VmaStatistics statistics;
        vmaGetVirtualBlockStatistics(block, &statistics);
        return size - statistics.allocationBytes;
    }
    uint64_t largest_free() const { return statistics().unusedRangeSizeMax; }
    uint64_t free_ranges() const { return statistics().unusedRangeCount; }

private:
    /// Walks all ranges.
    VmaDetailedStatistics statistics() const {
        VmaDetailedStatistics statistics;
        vmaCalculateVirtualBlockStatistics(block, &statistics);
        return statistics;
    }
};

}  // namespace bench
#endif
