/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/body.h"

/**
 * Requests on one connection, one after the other, as a small server needs them: what they ask for
 * does not matter, how they end does. Zero is a new connection.
 */
struct http_server {
    struct http_collect collect;
    struct http_body body;
    bool in_body;
    /* Of the request that is wanted an answer for: */
    bool keeps;      /* the connection goes on after it */
    bool head;       /* its answer has no body */
    char method[16]; /* cut short where it is longer */
    uint16_t refusal;
    char why[HTTP_WHY];
};

enum http_wants {
    HTTP_WANTS_MORE,
    HTTP_WANTS_CONTINUE, /* http_continue, then go on (RFC 9110 10.1.1) */
    HTTP_WANTS_ANSWER,   /* a request is complete */
    HTTP_WANTS_REFUSAL,  /* http_server_refuse, and the connection ends */
};

/** Takes bytes up to where something is wanted; the count. */
size_t http_server_take(struct http_server *server, const char *data, size_t len,
                        enum http_wants *ret_wants);
void http_server_done(struct http_server *server);

extern const char http_continue[]; /* "HTTP/1.1 100 Continue" and the empty line */
enum { HTTP_REFUSAL_BYTES = 256 + HTTP_WHY };
/** Writes the answer to what was refused; its length. */
size_t http_server_refuse(const struct http_server *server, char text[HTTP_REFUSAL_BYTES]);

#endif
