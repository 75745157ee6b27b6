/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_TALK_H
#define SOAK_TALK_H

/*
 * A server that a test plays, in virtual time: what a client sent is cut into units (a line, a
 * message), and the test says what follows each. What it says to what came together leaves together.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include <peer/tls.h>

#define MS NS_PER_MS

enum { TALK_RTT_MS = 2 };

struct talk_server;
struct talk {
    struct soaking soaking;
    /* How long the unit is that `data` begins with; 0: it is not complete. */
    size_t (*unit)(const struct talk_server *server, const char *data, size_t len);
    void (*hear)(struct talk_server *server, const char *data, size_t len);
    void (*greet)(struct talk_server *server); /* may be NULL */
    bool drips; /* what is said leaves byte by byte, each in a segment of its own */
    bool tls;   /* asked for; the server is without */
    void *user;
    uint64_t accepted, units, wakes, fins;
    char heard[8192]; /* units, one behind the other, as far as there is room */
    size_t heard_len;
};

/* A connection, as the server has it. */
struct talk_server {
    struct end *end;
    struct talk *talk;
    unsigned units;
    bool closes, resets; /* when what it says has been said */
    size_t in_len, out_len;
    char in[4096], out[16384];
};

static inline void talk_say(struct talk_server *server, const void *data, size_t len)
{
    assert_true(server->out_len + len <= sizeof(server->out));
    memcpy(server->out + server->out_len, data, len);
    server->out_len += len;
}

static inline void talk_keep(struct talk *talk, const char *data, size_t len)
{
    size_t part = MIN(len, sizeof(talk->heard) - 1 - talk->heard_len);

    memcpy(talk->heard + talk->heard_len, data, part);
    talk->heard_len += part;
}

static inline void talk_read(struct talk_server *server)
{
    struct iovec iov;
    size_t at = 0, unit;

    while (flow_peek(&server->end->flow, &iov, 1) > 0) {
        size_t part = MIN(iov.iov_len, sizeof(server->in) - server->in_len);
        assert_true(part > 0);
        memcpy(server->in + server->in_len, iov.iov_base, part);
        server->in_len += part;
        flow_consume(&server->end->flow, part);
        while (at < server->in_len &&
               (unit = server->talk->unit(server, server->in + at, server->in_len - at)) > 0) {
            assert_true(unit <= server->in_len - at);
            server->units++;
            server->talk->units++;
            talk_keep(server->talk, server->in + at, unit);
            server->talk->hear(server, server->in + at, unit);
            at += unit;
        }
        memmove(server->in, server->in + at, server->in_len - at);
        server->in_len -= at;
        at = 0;
    }
}

static inline void talk_event(struct end *end, unsigned events)
{
    struct talk_server *server = end_own(end);

    server->end = end;
    server->talk = end->user;
    if (events & FLOW_ACCEPTED) {
        server->talk->accepted++;
        if (server->talk->greet)
            server->talk->greet(server);
    }
    if (events & FLOW_READABLE) {
        server->talk->wakes++;
        talk_read(server);
    }
    for (size_t at = 0; at < server->out_len && end->flow.state != FLOW_ENDED;) {
        size_t part = server->talk->drips ? 1 : server->out_len - at;
        assert_int_equal(flow_write(&end->flow, server->out + at, part, 0), part);
        at += part;
    }
    server->out_len = 0;
    if (events & FLOW_EOF)
        server->talk->fins++;
    if (server->resets)
        flow_reset(&end->flow);
    else if (server->closes || events & FLOW_EOF)
        flow_close(&end->flow);
}

/* Starts; -EINVAL goes with text in `error`. The scene ends with talk_end. */
static inline int talk_start(struct talk *talk, const struct peer_soak_config *config,
                             struct peer_error *error)
{
    const struct simnet_config net = {.delay_ns = TALK_RTT_MS * MS / 2};
    const struct end application = {.on_event = talk_event,
                                    .drop_when_ended = true,
                                    .user = talk,
                                    .own_bytes = sizeof(struct talk_server)};

    struct peer_soak_config with_tls = *config;
    const struct peer_tls_config tls = {0};

    soaking_begin(&talk->soaking, &net, &application);
    if (talk->tls)
        assert_int_equal(peer_tls_new(talk->soaking.peers, &tls, &with_tls.tls, error), 0);
    int status = soaking_start(&talk->soaking, &with_tls, error);
    peer_tls_free(with_tls.tls);
    return status;
}

static inline void talk_run(struct talk *talk, const struct peer_soak_config *config)
{
    struct peer_error error = {0};

    if (talk_start(talk, config, &error) < 0)
        fail_msg("%s", error.text);
    soaking_finish(&talk->soaking, 600 * NS_PER_S);
}

static inline void talk_end(struct talk *talk)
{
    soaking_end(&talk->soaking);
}

static inline void talk_assert_words(const struct talk *talk, enum peer_soak_error kind,
                                     const char *words)
{
    const char *first = talk->soaking.report.first_errors[kind];

    if (!first || !strstr(first, words))
        fail_msg("\"%s\" instead of \"%s\"", first ? first : "nothing", words);
}

/* A soak that cannot be is refused, with such words. */
static inline void assert_refused(struct talk *talk, const struct peer_soak_config *config,
                                  const char *words)
{
    struct peer_error error = {0};

    assert_int_equal(talk_start(talk, config, &error), -EINVAL);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" instead of \"%s\"", error.text, words);
    talk_end(talk);
}

#endif
