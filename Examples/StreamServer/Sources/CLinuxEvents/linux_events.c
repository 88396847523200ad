// accept4 is there for _GNU_SOURCE alone, which the header must not define: Swift's own import of the C library does
// not.
#define _GNU_SOURCE
#include "linux_events.h"

#include <sys/socket.h>

int linux_accept(int listener) { return accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC); }
