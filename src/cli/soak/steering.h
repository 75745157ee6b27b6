/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_STEERING_H
#define CLI_STEERING_H

#include "cli/callers.h"
#include "cli/path_keeper.h"

struct soak_run;

/** The socket of --control, and what is done for those who call there: see peer-control(1). */
struct steering {
    int fd; /* -1: there is none */
    struct path_keeper keeper;
    struct reception reception;
};

/** Makes the socket at `path` (NULL: none), for this user alone. 0, or an exit status after a
 *  message. */
int steering_open(struct steering *steering, const char *path);
/** Before the soak begins, and then for as long as it lives. 0 or -errno. */
int steering_begin(struct steering *steering, struct callers *callers, struct soak_run *run);
/** The path is gone then. */
void steering_close(struct steering *steering);

#endif
