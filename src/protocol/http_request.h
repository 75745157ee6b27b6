/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP_REQUEST_H
#define PROTOCOL_HTTP_REQUEST_H

#include "protocol/http_ask.h"

/** What is asked for (http_ask.h) as HTTP/1.1 writes it. */
struct http_request {
    char *text, *last_text; /* the second asks to close; NULL where it is not needed */
    size_t len, last_len;
    size_t body_len; /* the end of both, as it is sent */
    enum http_asked asked;
    bool idempotent; /* may be asked again */
    bool expects;    /* the body waits for 100 (Continue) */
    bool closes;     /* its connection carries no other after it, by what its headers say */
};
/** Makes it, and takes it apart as a server would. `most`: requests of a connection, 0: no limit; the
 *  text that is not needed then is NULL. -ENOMEM. */
int http_request_make(struct http_request *request, const struct http_ask *ask, uint64_t most);
void http_request_done(struct http_request *request);

#endif
