/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_DNS_QUERIES_H
#define PROTOCOL_DNS_QUERIES_H

#include "protocol/dns_message.h"

#include <peer/error.h>
#include <peer/soak.h>

/** What a run asks, one query behind the other, each as TCP carries it (RFC 1035 4.2.2): two bytes of
 *  length, then the message, of id 0. */
struct dns_queries {
    uint8_t *bytes;
    size_t *offsets;
    size_t count;
};

/** What `queries` or `path` of `config` say. -EINVAL with text, -ENOMEM. */
int dns_queries_make(struct dns_queries *queries, const struct peer_soak_config *config,
                     struct peer_error *error);
/** Of zeroed ones too. */
void dns_queries_done(struct dns_queries *queries);
static inline const uint8_t *dns_query_at(const struct dns_queries *queries, size_t index)
{
    return queries->bytes + queries->offsets[index];
}
static inline size_t dns_query_len(const uint8_t *query)
{
    return (size_t)(query[0] << 8 | query[1]);
}

#endif
