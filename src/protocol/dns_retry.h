/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_DNS_RETRY_H
#define PROTOCOL_DNS_RETRY_H

#include "soak/protocol.h"

/**
 * A query that is asked again over TCP, on a connection of its own from the same peer: what to do
 * about an answer that was cut (RFC 7766 5). Its time-out is the request's, which is still under way.
 */
struct dns_retry;
struct dns_retry_ops {
    /** The answer, or with `data` NULL why there is none. It is over with that. */
    void (*answered)(struct client *client, unsigned slot, const uint8_t *data, size_t len,
                     enum peer_soak_error kind, const char *why);
};

/** `query` has its two bytes of length before it. False: it cannot be. */
bool dns_retry_start(struct client *client, struct list *retries, unsigned slot,
                     const uint8_t *query, const struct dns_retry_ops *ops);
/** The one for that slot, if there is one, is not waited for any more. */
void dns_retry_end(struct list *retries, unsigned slot);
void dns_retry_end_all(struct list *retries);

#endif
