#include "sqlite_hooks.h"

int sqlite_hooks_set_methods(const sqlite3_mem_methods *methods) {
    return sqlite3_config(SQLITE_CONFIG_MALLOC, methods);
}
