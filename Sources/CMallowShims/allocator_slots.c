// The definitions behind mallow_shims.h that the composable allocators use and the malloc does not. See there.
#include "mallow_shims.h"

struct mallow_magazine_table mallow_no_magazines_storage;
_Thread_local struct mallow_magazine_table *mallow_magazine_slot_storage = &mallow_no_magazines_storage;
_Thread_local size_t mallow_thread_number_storage;
void *mallow_registered_context_storage;
