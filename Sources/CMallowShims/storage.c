// The definitions behind mallow_shims.h: thread-local slots and zero-filled static storage. See there.
#include "mallow_shims.h"

#define NO_PAGE ((void *)mallow_no_page_storage)

_Alignas(128) char mallow_no_page_storage[128];
void *const mallow_no_buckets_storage[MALLOW_BUCKET_ENTRIES] = {[0 ... MALLOW_BUCKET_ENTRIES - 1] = NO_PAGE};
void *const mallow_no_heap_storage[MALLOW_HEAP_WORDS] = {
    [0 ... MALLOW_HEAP_BUCKETS_WORD - 1] = NO_PAGE,
    [MALLOW_HEAP_BUCKETS_WORD] = (void *)mallow_no_buckets_storage,
    [MALLOW_HEAP_BUCKETS_WORD + 1 ... MALLOW_HEAP_WORDS - 1] = NO_PAGE,
};
_Alignas(128) char mallow_process_storage[MALLOW_PROCESS_BYTES];
_Alignas(128) uintptr_t mallow_segment_map_storage[MALLOW_NO_RECORDS_WORDS + MALLOW_SEGMENT_MAP_COUNT];
char mallow_report_path_storage[MALLOW_REPORT_PATH_BYTES];
struct sigaction mallow_previous_actions_storage[2];

_Thread_local struct mallow_thread mallow_thread_storage = {(void *)mallow_no_heap_storage, 0, 0, 0};
