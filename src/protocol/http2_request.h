/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP2_REQUEST_H
#define PROTOCOL_HTTP2_REQUEST_H

#include "protocol/http_request.h"

#include <nghttp2/nghttp2.h>

/** A request as HTTP/2 writes it (RFC 9113 8.3.1). */
struct http2_request {
    nghttp2_nv *fields; /* names and values stay where they are as long as this */
    size_t count;
    char *text;          /* theirs */
    const uint8_t *body; /* in the text of the other version */
    size_t body_len;
    bool expects;  /* the body waits for 100 (Continue) */
    bool connects; /* CONNECT: what answers is a tunnel */
};
/**
 * The same request as that of `from`, which has to live on: names are in small letters, Host is
 * :authority, and what is about a connection is left out (8.2.2). -ENOMEM.
 */
int http2_request_make(struct http2_request *request, const struct http_request *from,
                       const char *scheme);
void http2_request_done(struct http2_request *request);

#endif
