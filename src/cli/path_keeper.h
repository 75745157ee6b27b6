/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_PATH_KEEPER_H
#define CLI_PATH_KEEPER_H

#include <sys/types.h>

/**
 * A child that removes the paths of Unix sockets when this process has ended, in whatever way: after
 * peer_confine it could not itself. And another one, for when somebody kills that.
 */
struct path_keeper {
    int fds[2]; /* -1: there is none */
    pid_t pids[2];
    const char *name; /* the first path, the caller's; and how many more */
    int others;
};
extern const struct path_keeper path_keeper_none;
enum { PATHS_MOST = 64 };
/** Of sockets that are there; the names live as long as this. 0 (no path: no child) or an exit status
 *  after a message. */
int path_keeper_start(struct path_keeper *ret_keeper, const char *const *names, int count);
/** Has them removed now; says so when nobody is left to do it. */
void path_keeper_end(struct path_keeper *keeper);

#endif
