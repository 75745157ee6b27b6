/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP2_INSIDE_H
#define PROTOCOL_HTTP2_INSIDE_H

#include "protocol/http2.h"
#include "protocol/http2_request.h"

/** What the files of HTTP/2 share. */

struct http2_run {
    struct http2_request *requests; /* one for each that is asked for */
    size_t count;
    const char *scheme;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    char why[160]; /* what was wrong with what came last, in words */
};

/* Where a stream's answer leads, which is followed when that is complete. */
struct http2_hop {
    struct http2_hop *next;
    int32_t id; /* of the stream */
    struct http_made *made;
};

/* A connection's. */
struct http2_client {
    nghttp2_session *session;
    struct http_jar *jar; /* the user's */
    struct http2_hop *hops;
    struct request *over, *over_last; /* streams that are over, in this order */
    char *rest;                       /* written by nghttp2, and not taken by the flow */
    size_t rest_len;
    uint64_t deed_ns; /* manners: frames were due until then; 0: it has not begun */
    int32_t raw_id;   /* continuation-flood: the stream whose head never ends */
    uint32_t leaving; /* the error that a GOAWAY named */
    bool shut;        /* nothing of bodies may come, from the beginning */
    bool spoke;       /* something came */
    bool limits;      /* SETTINGS came */
    bool leaves;      /* GOAWAY came */
    bool broken;      /* we said that what came is none of HTTP/2 */
};

/* A request's. */
struct http2_stream {
    struct request *next; /* of those that are over */
    int32_t id;
    uint32_t error; /* with which it was closed */
    uint32_t head_bytes;
    uint16_t status;
    bool ended;          /* the answer is complete */
    bool reset;          /* by the server */
    bool wrong;          /* by us: it broke the rules */
    bool unsent;         /* the connection took no more */
    bool awaits;         /* the body is held back for 100 (Continue) */
    bool posted;         /* all of the body went */
    bool connects;       /* CONNECT: what answers is a tunnel */
    const uint8_t *body; /* of the request, whose it is */
    size_t body_len, sent;
};

static inline struct http2_client *http2_of(const struct client *client)
{
    return client_own(client);
}

static inline struct http2_run *http2_run_of(const struct client *client)
{
    return ((struct http_run *)client_run(client))->http2;
}

static inline struct http2_stream *http2_stream_of(const struct request *request)
{
    return request_own(request);
}

/* NULL: nobody's, or it was given up. */
static inline struct request *http2_request_at(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

/* ---- http2_told.c ---- */

/** Takes where the answer of a stream leads, to be freed; NULL: nowhere that is followed. */
struct http_made *http2_take_hop(struct http2_client *http2, int32_t id);
/** The body that waited for 100 (Continue) goes. */
void http2_send_body(nghttp2_session *session, struct http2_stream *stream);

/* ---- http2.c ---- */

/** Writes what there is to write, as far as the flow takes it. 0 or -ENOMEM. */
int http2_flush(struct client *client);
/** Frames of our own, behind those that were written: as many bytes as the scratch has. Keeps what the
 *  flow does not take. 0 or -ENOMEM. */
int http2_put(struct client *client, const void *frames, size_t len);

/* ---- http2_deeds.c ---- */

/** What a client with such a manner does besides asking, when it is due. */
void http2_do_deeds(struct client *client);
/** Whether its streams are to have windows of nothing from the beginning. */
bool http2_is_shut(const struct client *client);

#endif
