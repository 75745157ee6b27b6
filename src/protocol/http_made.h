/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP_MADE_H
#define PROTOCOL_HTTP_MADE_H

#include "protocol/http_request.h"

/**
 * A request that is not the same every time: it follows a redirect, or says cookies. One piece of
 * memory, which free() frees.
 */
struct http_made {
    struct http_request text;
    unsigned hops;
    bool changed;     /* the method is GET now, and there is no body */
    const char *path; /* of the latest hop; NULL: as it was asked for */
};

enum { HTTP_HOPS_MOST = 10 };

/** As `ask`, or as `before` left it (NULL: nothing), with one more header (NULL: none). NULL without
 *  memory. `most` as http_request_make. */
struct http_made *http_made_new(const struct http_ask *ask, const struct http_made *before,
                                const char *header, uint64_t most);
/** The next hop by RFC 9110 15.4, for `status` with this Location: NULL: it is no redirect, leads
 *  elsewhere or nowhere, or is one too many. */
struct http_made *http_made_follow(const struct http_asks *asks,
                                   const struct peer_soak_config *config, size_t target,
                                   const struct http_made *before, unsigned status,
                                   struct http_text location);
/** The path that a reference means to who is at `base` (RFC 3986 5.2): to be freed; NULL: it leads
 *  elsewhere, or is none. */
char *http_resolve(const struct http_asks *asks, const struct peer_soak_config *config,
                   const char *base, struct http_text reference);

#endif
