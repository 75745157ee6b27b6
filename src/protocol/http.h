/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP_H
#define PROTOCOL_HTTP_H

#include "protocol/http_cookies.h"
#include "protocol/http_made.h"
#include "soak/protocol.h"

/**
 * What the versions of HTTP have in common: what is asked for, and which statuses are right.
 */

/** An answer that came in one piece, and what it was found to mean. */
struct known_answer {
    char bytes[2048];
    size_t len; /* 0: none yet */
    uint16_t status;
    bool keeps;
    enum http_asked asked;
};

struct http2_run;

/** The run's. */
struct http_run {
    struct http_asks asks;
    struct http_request *requests; /* one for each of them */
    size_t count;
    struct known_answer answer;
    bool follows, keeps_cookies;
    struct http_jar *jars;   /* of users that have no connection now */
    struct http2_run *http2; /* NULL: no connection speaks it */
    uint8_t version;         /* over TLS: the only one that is spoken; 0: either */
    bool expects;            /* only `expected` statuses are right */
    bool expected[PEER_STATUS_CODES];
};

/** How long a body waits for 100 (Continue): some servers know nothing of it (RFC 9110 10.1.1). */
#define HTTP_CONTINUE_NS NS_PER_S

/** For `prepare` and `done` of a protocol whose run is a struct http_run. */
int http_prepare(void *own, struct peer_soak_config *config, struct peer_error *error);
void http_done(void *own);
size_t http_count_targets(const void *own);
void http_name_target(const void *own, size_t index, char *out, size_t room);
/** The path that it asks for, a hop's if it followed a redirect. */
const char *http_path_of(const struct client *client, const struct request *request);
/** A connection's user, whose cookies are kept in `*jar` as long as it lasts: NULL without memory. Then they
 *  are the next one's. */
struct http_jar *http_jar_of(struct client *client, struct http_jar **jar);
void http_jar_leave(struct client *client, struct http_jar **jar);
/** The request says what cookies its user has: it is one of its own then (request_kept). */
void http_say_cookies(struct client *client, struct request *request, struct http_jar **jar);
/** The answer is complete, and so is the request, or it is given up. */
void http_complete(struct client *client, struct request *request, unsigned status);

#endif
