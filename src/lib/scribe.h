/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_SCRIBE_H
#define LIB_SCRIBE_H

#include <limits.h>
#include <stdbool.h>
#include <peer/error.h>
#include <sys/types.h>

/**
 * A process that writes files for this one: it may wait for the disk, and it keeps the right to make
 * files in one directory when this one gives its rights up. What is to be written comes to it by a
 * pipe; the names it knows since it was forked. It ends when the pipe does.
 */

/** A file and the directory that it is in; -1: not open. */
struct scribe_file {
    int folder, fd;
    char name[NAME_MAX + 1]; /* in there */
};
/** A regular file, made for this user alone or as it was; `what`, "capture", is for the text. A suffix of
 *  eight characters fits behind its name. Its owner calls scribe_close, whatever comes of it. */
int scribe_open(const char *path, const char *what, struct scribe_file *ret_file,
                struct peer_error *error);
void scribe_close(struct scribe_file *file);
/** Files of scribes are written by one at a time: scribe_open fails with EBUSY where another one has it
 *  for half a second.
 *  For one that takes the place of such a file. False: somebody has it. */
bool scribe_lock(int fd);

enum { SCRIBE_MESSAGE = 96 << 10 };
struct scribe_work {
    const char *process; /* its name, 15 characters */
    /** Several processes write to it: what each writes by one call, up to SCRIBE_MESSAGE, stays together
     *  and comes by one `take`. */
    bool shared;
    const struct scribe_file *file;
    /** In the process: begins; all that comes, until one is below 0; and the end. */
    int (*begin)(void *user);
    int (*take)(void *user, const void *data, size_t len);
    void (*end)(void *user);
    void *user;
};

/** All zero is none. */
struct scribe {
    int end;
    pid_t pid; /* 0: there is none */
};
/** Gives the end of the pipe, or socket, to write to, which does not block. -errno with text. */
int scribe_start(struct scribe *scribe, const struct scribe_work *work, int *ret_fd,
                 struct peer_error *error);
/** Once the pipe is closed: waits until all is written, for 2 s at the most. */
void scribe_end(struct scribe *scribe);
/** In a process that was forked from the owner's. */
void scribe_abandon(struct scribe *scribe);

#endif
