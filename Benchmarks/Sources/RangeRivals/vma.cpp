// The code of the Vulkan Memory Allocator, which is all in its header.

#if __has_include(<vk_mem_alloc.h>)
#define VMA_IMPLEMENTATION
#define VMA_STATIC_VULKAN_FUNCTIONS 0
#define VMA_DYNAMIC_VULKAN_FUNCTIONS 0
#include <vk_mem_alloc.h>
#endif
