/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See relay.h. Both ways are the same shape: as much as goes, until one side says that it takes no
 * more; then the flow's next event, or the descriptor, brings the owner back here.
 *
 * To the application: `at` is how much of the source it got and `stop` where that ends, which is
 * nowhere until somebody says so. Behind `stop` stands the FIN. From the application: bytes stay in
 * the flow until the sink has taken them, so there is no second buffer whose content could be lost.
 */
#include "relay/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { VECTORS = 16 };

struct relay {
    struct relay_state state; /* first */
    struct relay_config config;
    uint64_t at, stop;
    bool shut;     /* our FIN has been asked for */
    bool out_shut; /* the application's has been passed on */
    bool paused, discards;
    bool deaf; /* `out` failed */
};

struct relay *relay_new(const struct relay_config *config)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (!relay) {
        peer_flow_free(config->flow);
        return NULL;
    }
    relay->config = *config;
    relay->at = source_end(config->in); /* what others have not taken yet is not for this one */
    relay->stop = UINT64_MAX;
    relay->state.connected = config->connected;
    relay->state.active_ns = peer_net_now_ns(config->net);
    return relay;
}

static void set_behind(struct relay *relay, bool behind)
{
    if (relay->state.behind == behind)
        return;
    relay->state.behind = behind;
    relay->state.behind_ns = peer_net_now_ns(relay->config.net);
    if (behind)
        relay->config.in->behind++;
    else
        relay->config.in->behind--;
}

struct relay *relay_free(struct relay *relay)
{
    if (!relay)
        return NULL;
    set_behind(relay, false);
    peer_flow_free(relay->config.flow);
    free(relay);
    return NULL;
}

const struct relay_state *relay_state(const struct relay *relay)
{
    return &relay->state;
}

static void active(struct relay *relay)
{
    relay->state.active_ns = peer_net_now_ns(relay->config.net);
}

/* The flow is over, or has had its FIN. */
static void take_no_more(struct relay *relay)
{
    relay->stop = relay->at;
    relay->shut = true;
}

void relay_take(struct relay *relay, const struct peer_event *event)
{
    if (event->type == PEER_EVENT_CONNECTED) {
        relay->state.connected = true;
        active(relay);
    } else if (event->type == PEER_EVENT_EOF) {
        relay->state.eof = true;
    } else if (event->type == PEER_EVENT_CLOSED) {
        relay->state.end = event->end;
        take_no_more(relay);
    }
}

/* ---- to the application ---- */

static void in_flush(struct relay *relay)
{
    const char *data;
    size_t len;

    while ((len = source_look(relay->config.in, relay->at, relay->stop, &data)) > 0) {
        ssize_t done = peer_flow_write(relay->config.flow, data, len);
        if (done == -EPIPE) /* the end is on its way as an event */
            take_no_more(relay);
        if (done <= 0)
            break;
        relay->at += (uint64_t)done;
        relay->state.sent += (uint64_t)done;
        active(relay);
        relay->state.behind_ns = relay->state.active_ns;
    }
    relay->state.ended = relay->stop != UINT64_MAX;
    set_behind(relay, len > 0 && relay->stop > relay->at);
    if (relay->state.ended && !relay->state.behind && !relay->shut && relay->state.connected) {
        relay->shut = true;
        peer_flow_shutdown(relay->config.flow);
    }
}

void relay_end_in(struct relay *relay)
{
    if (relay->stop == UINT64_MAX)
        relay->stop = source_end(relay->config.in);
    relay->state.ended = true;
}

void relay_close(struct relay *relay)
{
    struct peer_flow_info info;

    take_no_more(relay);
    relay->state.ended = true;
    relay->paused = false;
    set_behind(relay, false);
    peer_flow_get_info(relay->config.flow, &info);
    if (info.udp)
        peer_flow_close(relay->config.flow);
    else if (relay->state.connected)
        peer_flow_shutdown(relay->config.flow);
    else
        relay_reset(relay);
}

void relay_reset(struct relay *relay)
{
    peer_flow_reset(relay->config.flow);
}

void relay_pause(struct relay *relay, bool paused)
{
    relay->paused = paused;
}

void relay_discard(struct relay *relay)
{
    relay->discards = true;
}

/* ---- from the application ---- */

/* Nobody wants to see it any more. */
static void throw_away(struct peer_flow *flow)
{
    struct iovec iov[VECTORS];
    int count;

    while ((count = peer_flow_peek(flow, iov, VECTORS)) > 0) {
        size_t len = 0;
        for (int i = 0; i < count; i++)
            len += iov[i].iov_len;
        peer_flow_consume(flow, len);
    }
}

static void pass_end_on(struct relay *relay)
{
    if (!relay->config.out->shuts || relay->out_shut || !relay->state.drained ||
        !(relay->state.eof || relay->state.end != PEER_END_NONE))
        return;
    relay->out_shut = true;
    (void)shutdown(relay->config.out->fd, SHUT_WR);
}

static int out_flush(struct relay *relay)
{
    struct relay_state *state = &relay->state;
    uint64_t before = state->received;
    int status = 0;

    state->blocked = false;
    state->drained = !relay->paused;
    if (relay->paused || relay->deaf)
        return 0;
    if (relay->discards)
        throw_away(relay->config.flow);
    else
        status = sink_move(relay->config.out, relay->config.flow, &state->received);
    if (status == 1 || state->received > before) {
        state->heard = true;
        active(relay);
    }
    state->blocked = status == -EAGAIN;
    state->drained = status >= 0;
    relay->deaf = status < 0 && !state->blocked;
    return relay->deaf ? status : 0;
}

int relay_move(struct relay *relay)
{
    int status = out_flush(relay);

    in_flush(relay);
    pass_end_on(relay);
    relay->state.over = relay->state.end != PEER_END_NONE &&
                        (relay->state.drained || relay->deaf || relay->state.end == PEER_END_LOCAL);
    return status;
}
