/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_SOURCE_H
#define RELAY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Bytes for applications, as they come out of a descriptor, for one relay or for several that all
 * send the same. There is one buffer: it is filled anew when every relay has taken what was in it,
 * so who does not take keeps the descriptor from being read (see `behind`).
 */
struct source {
    int fd;
    bool eof;        /* nothing more will come out of `fd` */
    unsigned behind; /* relays that have not taken all of it yet */
    size_t room;     /* of the buffer */
    size_t most;     /* read at a time */
    size_t len;      /* in the buffer, */
    uint64_t begin;  /* and so many came before those */
    char bytes[];
};

/** `most`: how many bytes are read at a time, up to `room`. Over UDP such a read is a datagram. NULL:
 *  out of memory. */
struct source *source_new(int fd, size_t room, size_t most);
struct source *source_free(struct source *source);

/**
 * Reads once, when nobody is behind and `fd` is readable: the count; 0: it is at its end, or cannot
 * be read; -EAGAIN: nothing is there after all.
 */
int source_read(struct source *source);
/** Bytes that come from elsewhere. 0, or -ENOSPC while somebody is too far behind. Every relay is to
 *  have moved since the last ones, so that `behind` is right. */
int source_append(struct source *source, const char *data, size_t len);

/** How many bytes there have been. */
uint64_t source_end(const struct source *source);
/** Those from the `at`-th up to the `end`-th that are in the buffer: how many. */
size_t source_look(const struct source *source, uint64_t at, uint64_t end, const char **ret_data);

#endif
