/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "flow/flow.h"

/**
 * Peers as servers: each caller of a listener is answered here, without its owner hearing of it.
 *   echo     what comes in goes back, byte for byte, datagram for datagram
 *   discard  what comes in is dropped
 *   http     every request is answered by a short text about both ends (HTTP/1.1, keep-alive)
 */
enum serve_kind { SERVE_NONE, SERVE_ECHO, SERVE_DISCARD, SERVE_HTTP };

struct serve {
    struct flows *flows;
    enum serve_kind kind;
    struct list open; /* flows of this server */
    uint64_t accepted, open_count, requests, bytes_received, bytes_sent;
};

/** "echo", "discard", "http" to a kind; SERVE_NONE when it is none of them. */
enum serve_kind serve_kind_parse(const char *text);
void serve_init(struct serve *serve, struct flows *flows, enum serve_kind kind);
/** Resets and releases the flows that are still open. */
void serve_done(struct serve *serve);
/** For the stack's accept: a flow of this server, or NULL (no memory). */
struct flow *serve_accept(struct serve *serve, const struct stack_tuple *tuple);

#endif
