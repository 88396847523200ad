// The calls of SQLite that Swift cannot make, since they are variadic.
#ifndef SQLITE_HOOKS_H
#define SQLITE_HOOKS_H

#include <sqlite3.h>

// Makes SQLite allocate by these methods. For before its first use, or after sqlite3_shutdown.
int sqlite_hooks_set_methods(const sqlite3_mem_methods *methods);

#endif
