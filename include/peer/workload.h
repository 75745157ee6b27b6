/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_WORKLOAD_H
#define PEER_WORKLOAD_H

/**
 * A soak in a protocol of your own. You say how a request is written and where its answer ends; the
 * soak (peer/soak.h) says when requests are wanted, opens connections, and counts. Schedule, rate,
 * ramp, manners, time-outs, percentiles and the series come with it:
 *
 *     static const struct peer_workload mine = {
 *         .size = sizeof(mine), .name = "mine", .ask = mine_ask, .take = mine_take};
 *     struct peer_soak_config config = {
 *         .protocol = PEER_WORKLOAD_CUSTOM, .workload = &mine, .to = to, .to_port = 4000, .flows = 50};
 *     peer_soak_start(net, &config, &soak, &error);
 *
 * A client is one connection (over UDP: one flow). Its requests are told apart by their number, from
 * 1 up, each client's own; a number that is not under way is an error and does no harm.
 *
 *  - Hooks are called from peer_net_wait, peer_net_poll and peer_net_dispatch, and from peer_soak_start,
 *    peer_soak_stop and peer_soak_free. They must not block: all clients wait meanwhile. From a hook
 *    the net cannot be dispatched (-EBUSY) nor freed (no effect), and a soak that is freed goes when
 *    the call that led to the hook ends.
 *  - Functions of this header are for hooks: elsewhere they are -EPERM. They may be called for any
 *    client, not only the one that the hook is about. Some lead to a hook before they return, of
 *    this client or another: peer_client_ready to `ask`, peer_client_fail to `ended`.
 *  - A client lives from `opened`, or from `ask` where there is no `opened`, until its `ended` has
 *    returned; its memory (peer_client_own), and the bytes that a hook was given, until that hook
 *    returns. For one that is over all functions return -ESHUTDOWN and change nothing.
 */

#include <peer/flow.h>
#include <peer/soak.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_client;

/** What a client does with its time. */
enum peer_workload_kind {
    PEER_WORKLOAD_ASKS,    /* requests with answers: rates, numbers of them, time-outs */
    PEER_WORKLOAD_STREAMS, /* one request as long as the connection: bytes, until the end of the run */
    PEER_WORKLOAD_HOLDS,   /* nothing: connections are what is counted, see `touch`. TCP only */
};

/** Zero is the default everywhere, and all but `size` and `ask` may be. It is copied when the soak
 *  starts; what `user` points to must live until the soak is freed. */
struct peer_workload {
    size_t size;      /* sizeof(struct peer_workload): how much of it you know */
    const char *name; /* in words and results, up to 31 bytes of it; default "custom" */
    enum peer_workload_kind kind;
    bool needs_rate; /* nothing is awaited: start it with `config.rate` only */
    bool unasked;    /* what comes while nothing is under way is taken; else that is an error */
    bool any_order;  /* TCP: answers come in any order, and a request that is late is lost alone;
                      * else it takes its connection with it. Over UDP all are so */
    unsigned at_once;    /* requests under way on a connection, when `opened` does not say; default 1 */
    size_t client_bytes; /* zeroed memory of yours for each client, up to 1 MiB */
    void *user;          /* handed back by peer_client_user */

    /** The connection stands. Requests come after peer_client_ready: called here, or when a
     *  greeting was read or a login is done. NULL: at once, `at_once` of them. */
    void (*opened)(struct peer_client *client);
    /** Writes a request. HOLDS: a message, of `config.touch`; `request` is 0. */
    void (*ask)(struct peer_client *client, uint32_t request);
    /**
     * TCP: bytes came: `len` of them that were not used so far, in one piece. Returns how many are used
     * now; 0: more is needed. It is called again at once with the rest while it uses some, so one
     * line or one answer at a time is well. What it leaves comes again before what follows; 16 MiB
     * of that are an error. NULL: all is taken, and means nothing.
     */
    size_t (*take)(struct peer_client *client, const char *data, size_t len);
    /** UDP: one datagram came. NULL: likewise. */
    void (*datagram)(struct peer_client *client, const void *data, size_t len);
    /** There may be more room to send, and something is under way. */
    void (*writable)(struct peer_client *client);
    /** The application closed while something was under way. True: that is right, and dealt with; no
     *  more comes. NULL, false: an error. */
    bool (*eof)(struct peer_client *client);
    /** The client is given up, for whatever reason, `opened` or not: frees what you put there. The
     *  last that is heard of it. */
    void (*ended)(struct peer_client *client);
    /** What to call it that this request is late: a string that stays. NULL: "no answer in time". */
    const char *(*late)(struct peer_client *client, uint32_t request);
};

/* ---- what a hook may know ---- */

/** Your `client_bytes`, aligned for anything. */
PEER_EXPORT void *peer_client_own(const struct peer_client *client);
/** The workload's `user`. */
PEER_EXPORT void *peer_client_user(const struct peer_client *client);
/** Counts up from 0, over all clients of the soak: for bytes that are each client's own. */
PEER_EXPORT uint64_t peer_client_number(const struct peer_client *client);
/** Now, as the soak sees it: the time at which frames were read. */
PEER_EXPORT uint64_t peer_client_now_ns(const struct peer_client *client);
PEER_EXPORT bool peer_client_is_over(const struct peer_client *client);
/** The oldest request that is under way, which an answer in order is for; 0: none. */
PEER_EXPORT uint32_t peer_client_request(const struct peer_client *client);
/** How many are. */
PEER_EXPORT uint32_t peer_client_under_way(const struct peer_client *client);
/** Its addresses, ports, and what else is known of a flow. 0 or as said above. */
PEER_EXPORT int peer_client_get_info_sized(const struct peer_client *client,
                                           struct peer_flow_info *ret_info, size_t size);
static inline int peer_client_get_info(const struct peer_client *client,
                                       struct peer_flow_info *ret_info)
{
    return peer_client_get_info_sized(client, ret_info, sizeof(*ret_info));
}

/* ---- what it may do: 0, or -EINVAL, -EPERM, -ESHUTDOWN, and what is said there ---- */

/** From now on up to `at_once` requests, 1 to 65535, under way. -EBUSY in `ask`. */
PEER_EXPORT int peer_client_ready(struct peer_client *client, unsigned at_once);
/**
 * Sends all of it; the bytes are copied. TCP: what there is no room for now follows by itself while
 * a request is under way, up to 16 MiB; -ENOBUFS beyond that, and nothing was sent. UDP: one datagram;
 * -EMSGSIZE. What can be sent no more is an error of the soak, and ends the client; -EPIPE.
 */
PEER_EXPORT int peer_client_send(struct peer_client *client, const void *data, size_t len);
/** What would leave at once. 0 also when it is over. For streams. */
PEER_EXPORT size_t peer_client_room(const struct peer_client *client);

/** The answer to this request is complete and right. From `take` and `datagram` it counts when they
 *  have returned: bytes behind the only answer that is awaited make it a wrong one. -ENOENT: it is
 *  not under way. -EBUSY in `ask`, unless a rate limits how many are asked. */
PEER_EXPORT int peer_client_done(struct peer_client *client, uint32_t request);
/** Likewise, and it had a status: counted, and an error when it is not `right`. */
PEER_EXPORT int peer_client_done_status(struct peer_client *client, uint32_t request,
                                        unsigned status, bool right);
/** It came to nothing, which is an error of that kind; the client goes on. Else as
 *  peer_client_done. */
PEER_EXPORT int peer_client_lose(struct peer_client *client, uint32_t request,
                                 enum peer_soak_error kind, const char *format, ...)
    PEER_PRINTF(4, 5);
/** Any order: the first byte of this answer was seen. Without it that is when it is done. -ENOENT. */
PEER_EXPORT int peer_client_first_byte(struct peer_client *client, uint32_t request);
/** No request comes after those that are under way; then the connection is closed. */
PEER_EXPORT int peer_client_end_after(struct peer_client *client);
/** An error for each request under way, or one when there is none; the connection is given up, and
 *  another is opened in its place. */
PEER_EXPORT int peer_client_fail(struct peer_client *client, enum peer_soak_error kind,
                                 const char *format, ...) PEER_PRINTF(3, 4);
/** An error of what came unasked; the client goes on. */
PEER_EXPORT int peer_client_error(struct peer_client *client, enum peer_soak_error kind,
                                  const char *format, ...) PEER_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
