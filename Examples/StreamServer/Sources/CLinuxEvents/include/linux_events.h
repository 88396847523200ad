// Linux's own calls that Swift's Glibc module leaves out.

#ifndef LINUX_EVENTS_H
#define LINUX_EVENTS_H

#include <sys/epoll.h>
#include <sys/signalfd.h>

// Takes the next connection of a listening socket; its socket does not block and is closed by exec.
int linux_accept(int listener);

#endif
