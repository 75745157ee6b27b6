/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP_REQUEST_H
#define PROTOCOL_HTTP_REQUEST_H

#include "http/head.h"

#include <peer/soak.h>

/** What a run asks for, the same every time. */
struct http_request {
    char *text, *last_text; /* the second asks to close; NULL where it is not needed */
    size_t len, last_len;
    size_t body_len; /* the end of both, as it is sent */
    enum http_asked asked;
    bool expects;    /* the body waits for 100 (Continue) */
    bool idempotent; /* may be asked again */
};
/** Makes it, and takes it apart as a server would: `config` may come to say that a connection carries
 *  one request, and its strings need not live on. -EINVAL with text, -ENOMEM. */
int http_request_make(struct http_request *request, struct peer_soak_config *config,
                      struct peer_error *error);
void http_request_done(struct http_request *request);

#endif
