/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_PATH_KEEPER_H
#define CLI_PATH_KEEPER_H

#include <sys/types.h>

/**
 * A child that removes the paths of Unix sockets when this process has ended, in whatever way: after
 * peer_confine it could not itself.
 */
struct path_keeper {
    int fd; /* -1: there is none */
    pid_t pid;
};
enum { PATHS_MOST = 64 };
/** Of sockets that are there. 0 (no path: no child) or an exit status after a message. */
int path_keeper_start(struct path_keeper *ret_keeper, const char *const *names, int count);
/** Has them removed now. */
void path_keeper_end(struct path_keeper *keeper);

#endif
