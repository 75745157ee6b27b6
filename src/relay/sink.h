/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_SINK_H
#define RELAY_SINK_H

#include <peer/flow.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/**
 * Where bytes of applications go: a descriptor that is written without waiting, for one relay or for
 * several whose bytes go there as they come. What it does not take stays in the flow, whose window
 * then closes, as a real machine's would.
 */
struct sink {
    int fd;
    bool own;   /* sink_close closes it */
    bool waits; /* would wait if it might block: it gets little at a time, when poll allows that */
    bool shuts; /* a socket of one relay: the end of what comes is passed on to it */
    /** Instead of writing the bytes as they are; as sink_move. NULL: as they are. */
    int (*move)(struct sink *sink, struct peer_flow *flow, uint64_t *moved);
};

/**
 * Writes to what `fd` is through a descriptor of its own where it can, so that O_NONBLOCK does not
 * leak to whoever shares `fd`. Before privileges go.
 */
void sink_open(struct sink *ret_sink, int fd);
void sink_close(struct sink *sink);

/**
 * Moves received bytes on and adds their number to `*moved`: 1 when some went, 0 when there were
 * none, -EAGAIN when the rest waits for `fd` to be writable, or -errno.
 */
int sink_move(struct sink *sink, struct peer_flow *flow, uint64_t *moved);
/** Other bytes: how many were written, -EAGAIN: none now, or -errno. */
ssize_t sink_write(struct sink *sink, struct iovec *iov, int count);

#endif
