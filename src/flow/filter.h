/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FLOW_FILTER_H
#define FLOW_FILTER_H

#include "flow/flow.h"

/**
 * What stands between a flow and its owner and changes the bytes, as TLS does. Nearly all flows have
 * none. The owner calls flow_write, flow_peek and the others as ever and hears of plain bytes; the
 * filter calls flow_raw_*. A flow's watch is below the filter: manners and `written` and `consumed`
 * are of what is on the wire.
 *
 * Each function may be NULL: then the raw one does. None may close, reset or free the flow, but for
 * flow_filter_fail and flow_filter_close.
 */
struct flow_filter;

struct flow_filter_ops {
    /** As flow_write, flow_write_room, flow_peek, flow_consume, flow_unread, flow_unacked,
     *  flow_written, of plain bytes. `flags` are FLOW_WRITE_*. */
    ssize_t (*write)(struct flow *flow, const void *data, size_t len, int flags);
    size_t (*room)(const struct flow *flow);
    int (*peek)(const struct flow *flow, struct iovec *iov, int count);
    void (*consume)(struct flow *flow, size_t len);
    size_t (*unread)(const struct flow *flow);
    size_t (*unacked)(const struct flow *flow);
    uint64_t (*written)(const struct flow *flow);
    /** The owner has no more to write: says so in the filter's own words and, when these are out,
     *  by flow_raw_shutdown. 0, or -errno as flow_shutdown. Called by flow_close too, before FIN. */
    int (*shutdown)(struct flow *flow);
    /**
     * Something happened below. Returns what the owner is to hear, 0 for nothing. FLOW_CONNECTED or
     * FLOW_ACCEPTED is kept back until the filter's own handshake is done, and returned then;
     * until then the deadline of the handshake runs on.
     */
    unsigned (*event)(struct flow *flow, unsigned events);
    /** The flow has no owner any more. */
    void (*done)(struct flow *flow);
};

/** Embedded in what the filter likes; lives until `done`. */
struct flow_filter {
    const struct flow_filter_ops *ops;
    bool opening; /* flow.c: the owner has not heard that the flow is open */
};

/** Before flow_connect, on a flow that flow_init_accepted made, or on an open one: its owner hears that
 *  it is open once more. -ENOMEM. */
int flow_set_filter(struct flow *flow, struct flow_filter *filter);
/** NULL for none. */
struct flow_filter *flow_filter(const struct flow *flow);
/** For a filter's `event`: the flow has failed. It is reset; returns what `event` is to return. */
unsigned flow_filter_fail(struct flow *flow, enum peer_end end);
/** Likewise, in order: what was written and FIN leave first. The owner hears FLOW_END now, and of
 *  nothing that follows; once it has freed the flow, that lives on to its end. */
unsigned flow_filter_close(struct flow *flow, enum peer_end end);
/** In `event` with FLOW_END: it ended otherwise than TCP says. */
void flow_filter_set_end(struct flow *flow, enum peer_end end);
/** For a filter's timer: calls its `event` with 0. */
void flow_filter_wake(struct flow *flow);

ssize_t flow_raw_write(struct flow *flow, const void *data, size_t len, int flags);
size_t flow_raw_write_room(const struct flow *flow);
int flow_raw_peek(const struct flow *flow, struct iovec *iov, int count);
void flow_raw_consume(struct flow *flow, size_t len);
size_t flow_raw_unread(const struct flow *flow);
size_t flow_raw_unacked(const struct flow *flow);
int flow_raw_shutdown(struct flow *flow);

#endif
