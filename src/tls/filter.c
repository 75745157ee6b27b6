/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter: what happens below becomes calls of OpenSSL, and what it makes of them is what the owner
 * hears.
 *
 * An SSL is made when TCP stands, and gives its buffers back whenever it is between two records. What
 * it has decrypted lies in a buffer of the flow's from the first look until all of it is taken; for an
 * idle flow there is none. So nothing is read ahead of an owner who does not read, but for one
 * record: TCP's window closes as it does for plain flows.
 *
 * Two things come out in the middle of a call of the owner's and must be told by an event:
 * close_notify, and that what came is broken. A timer that is due at once does that. Where TCP's FIN is
 * there all is decrypted at once: how it ends decides what FIN means.
 */
#include "tls/internal.h"

#include "base/arena.h"
#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a record adds, at the most, and how little room a record is made for: what TCP does not take of
   it waits in `queued`. Where more than QUEUE_MOST is under way no more is encrypted. */
enum { RECORD_COST = 96, RECORD_MOST = 16384, RECORD_LEAST = 1024, QUEUE_MOST = 1 << 20 };

/* ---- what was read ---- */

static void plain_put(struct tls *tls)
{
    struct tls_context *context = tls->context;

    if (!tls->plain)
        return;
    if (tls->plain_room == PLAIN_BYTES && context->spare_count < SPARES)
        context->spares[context->spare_count++] = tls->plain;
    else
        free(tls->plain);
    tls->plain = NULL;
    tls->plain_at = tls->plain_len = tls->plain_room = 0;
}

static bool plain_get(struct tls *tls)
{
    struct tls_context *context = tls->context;

    tls->plain = context->spare_count ? context->spares[--context->spare_count]
                                      : malloc(PLAIN_BYTES);
    tls->plain_room = tls->plain ? PLAIN_BYTES : 0;
    return tls->plain;
}

/* Twice the room for what must be read now. */
static bool plain_grow(struct tls *tls)
{
    uint8_t *bytes = realloc(tls->plain, (size_t)tls->plain_room * 2);

    if (!bytes)
        return false;
    tls->plain = bytes;
    tls->plain_room *= 2;
    return true;
}

static bool has_plain(const struct tls *tls)
{
    return tls->plain_len > tls->plain_at;
}

static bool has_input(const struct tls *tls)
{
    return flow_raw_unread(tls->flow) > 0 || SSL_has_pending(tls->ssl);
}

/* Whether there is room to read into. */
static bool make_room(struct tls *tls, bool all)
{
    if (!tls->plain && !plain_get(tls)) {
        tls_note(tls, PEER_TLS_PROTOCOL, "out of memory");
        return false;
    }
    return tls->plain_len < tls->plain_room || (all && plain_grow(tls));
}

static void note_read(struct tls *tls)
{
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        tls->eof = true;
        break;
    default:
        tls_note_failure(tls);
    }
}

/* Decrypts: up to a buffer full of it, or all that came. */
static void fill(struct tls *tls, bool all)
{
    size_t len = 1;

    while (len && !tls->eof && !tls->error && has_input(tls) && make_room(tls, all)) {
        len = 0;
        if (SSL_read_ex(tls->ssl, tls->plain + tls->plain_len, tls->plain_room - tls->plain_len,
                        &len))
            tls->plain_len += (uint32_t)len;
        else
            note_read(tls);
    }
    if (!has_plain(tls))
        plain_put(tls);
}

/* ---- what the owner hears ---- */

static void tell_later(struct tls *tls)
{
    struct flows *flows = tls->flow->flows;

    if (!timer_armed(&tls->later))
        (void)timer_arm(flows->timers, &tls->later, flows->now_ns);
}

static void later_fire(struct timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    flow_filter_wake(list_entry(timer, struct tls, later)->flow);
}

/* In the middle of a call of the owner's. */
static void tell_if_ended(struct tls *tls)
{
    if (tls->error || (tls->eof && !tls->told_eof))
        tell_later(tls);
}

static unsigned fail(struct tls *tls)
{
    tls->over = true;
    return flow_filter_close(tls->flow, PEER_END_TLS);
}

/* The handshake is done. */
static unsigned open_event(struct tls *tls, unsigned events)
{
    unsigned told = events & (FLOW_CONNECTED | FLOW_ACCEPTED | FLOW_WRITABLE | FLOW_UNREACHABLE);
    bool had = has_plain(tls);

    if (!had || tls->raw_eof || events & FLOW_END)
        fill(tls, tls->raw_eof || events & FLOW_END);
    if (has_plain(tls) && (!had || events & FLOW_READABLE))
        told |= FLOW_READABLE;
    if (events & FLOW_END) {
        tls->over = true;
        told |= FLOW_END;
        /* It had said all, and has gone: our own close_notify found nobody. */
        if (tls->eof && tls->raw_eof && tls->shut && flow_end(tls->flow) == PEER_END_RESET)
            flow_filter_set_end(tls->flow, PEER_END_CLOSED);
        else if (tls->error && flow_end(tls->flow) == PEER_END_RESET) /* an alert came before it */
            flow_filter_set_end(tls->flow, PEER_END_TLS);
    } else if (tls->error) {
        told |= fail(tls);
    }
    if (!tls->told_eof && (tls->eof || tls->raw_eof) && !tls->error) {
        tls->told_eof = true;
        tls->truncated = !tls->eof;
        told |= FLOW_EOF;
    }
    return told;
}

/* ---- the handshake ---- */

static bool start(struct tls *tls)
{
    SSL *ssl = SSL_new(tls->context->ctx);
    BIO *bio = ssl ? tls_bio_new(tls) : NULL;

    tls->ssl = ssl;
    if (!bio)
        return false;
    SSL_set_bio(ssl, bio, bio);
    if (tls->opens_with == FLOW_ACCEPTED)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    tls->begun_ns = tls->flow->flows->now_ns;
    return tls_context_dress(tls);
}

static unsigned finish_handshake(struct tls *tls, unsigned events)
{
    uint64_t took_ns = tls->flow->flows->now_ns - tls->begun_ns;

    tls->open = true;
    tls->handshake_us = (uint32_t)MIN((took_ns + NS_PER_US - 1) / NS_PER_US, UINT32_MAX);
    return open_event(tls, (events & ~(unsigned)(FLOW_CONNECTED | FLOW_ACCEPTED)) |
                               tls->opens_with);
}

static unsigned handshake_event(struct tls *tls, unsigned events)
{
    if (!tls->ssl && !start(tls)) {
        tls_note(tls, PEER_TLS_PROTOCOL, "out of memory");
        return fail(tls);
    }
    tls->more = true;
    int done = SSL_do_handshake(tls->ssl);
    tls->more = false;
    if (done == 1 && !tls->queued)
        return finish_handshake(tls, events);
    if (done != 1 && SSL_get_error(tls->ssl, done) != SSL_ERROR_WANT_READ)
        tls_note_failure(tls);
    else if (tls->raw_eof)
        tls_note(tls, PEER_TLS_CLOSED, "closed in the middle of the handshake");
    else if (events & FLOW_END && flow_end(tls->flow) == PEER_END_RESET)
        tls_note(tls, PEER_TLS_CLOSED, "reset in the middle of the handshake");
    if (events & FLOW_END) {
        tls->over = true;
        return FLOW_END;
    }
    return tls->error ? fail(tls) : events & FLOW_UNREACHABLE;
}

static unsigned on_event(struct flow *flow, unsigned events)
{
    struct tls *tls = tls_of(flow);

    if (tls->over)
        return 0;
    tls->raw_eof |= (events & FLOW_EOF) != 0;
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED))
        tls->opens_with = events & FLOW_ACCEPTED ? FLOW_ACCEPTED : FLOW_CONNECTED;
    if (events & FLOW_WRITABLE)
        tls_flush(tls);
    if (tls->open)
        return open_event(tls, events);
    if (tls->opens_with)
        return handshake_event(tls, events);
    tls->over = (events & FLOW_END) != 0;
    return events & (FLOW_END | FLOW_UNREACHABLE);
}

/* ---- what the owner does ---- */

static size_t on_room(const struct flow *flow)
{
    const struct tls *tls = tls_of(flow);
    size_t raw = flow_raw_write_room(flow), under_way = flow_raw_unacked(flow);

    if (!tls->open || tls->shut || tls->queued || !raw || under_way >= QUEUE_MOST)
        return 0;
    raw = MIN(raw, QUEUE_MOST - under_way);
    size_t cost = (raw / RECORD_MOST + 2) * RECORD_COST; /* close_notify has room, too */
    return raw > cost + RECORD_LEAST ? raw - cost : RECORD_LEAST;
}

/* Why there is no room. */
static ssize_t refuse(struct tls *tls)
{
    if (tls->shut || tls->error)
        return -EPIPE;
    if (!tls->open)
        return tls->opens_with ? -EAGAIN : -ENOTCONN;
    ssize_t status = flow_raw_write(tls->flow, "", 0, FLOW_WRITE_MORE);
    return status < 0 ? status : -EAGAIN;
}

static ssize_t on_write(struct flow *flow, const void *data, size_t len, int flags)
{
    struct tls *tls = tls_of(flow);
    const char *from = data;
    size_t room = tls->error ? 0 : on_room(flow), done = 0, taken;

    if (!room)
        return refuse(tls);
    len = MIN(len, room);
    if (!flow_raw_unacked(flow)) {
        tls->mark_plain = tls->written;
        tls->mark_wire = flow->written;
    }
    for (taken = 1; done < len && taken; done += taken) {
        size_t part = MIN(len - done, (size_t)RECORD_MOST);
        taken = 0;
        tls->more = done + part < len || flags & FLOW_WRITE_MORE;
        tls->written += part; /* a watch looks at it from within */
        if (!SSL_write_ex(tls->ssl, from + done, part, &taken))
            tls_note_failure(tls);
        tls->written -= part - taken;
    }
    tls->more = false;
    tell_if_ended(tls);
    return done || !len ? (ssize_t)done : -EPIPE;
}

static int on_peek(const struct flow *flow, struct iovec *iov, int count)
{
    struct tls *tls = tls_of(flow);

    if (!tls->open || count < 1)
        return 0;
    if (!has_plain(tls)) {
        fill(tls, false);
        tell_if_ended(tls);
    }
    if (!has_plain(tls))
        return 0;
    iov[0] = (struct iovec){.iov_base = tls->plain + tls->plain_at,
                            .iov_len = tls->plain_len - tls->plain_at};
    return 1;
}

static void on_consume(struct flow *flow, size_t len)
{
    struct tls *tls = tls_of(flow);

    tls->plain_at += (uint32_t)MIN(len, (size_t)(tls->plain_len - tls->plain_at));
    if (!has_plain(tls))
        plain_put(tls);
}

static size_t on_unread(const struct flow *flow)
{
    return tls_of(flow)->plain_len - tls_of(flow)->plain_at;
}

/* Of what it has written: TCP counts records. Exact when none of what was written since the last time
   that nothing was under way is acknowledged, or all. */
static size_t on_unacked(const struct flow *flow)
{
    const struct tls *tls = tls_of(flow);
    size_t raw = flow_raw_unacked(flow) + tls->queued_len - tls->queued_at;
    uint64_t plain = tls->written - tls->mark_plain, wire = flow->written - tls->mark_wire;

    return raw >= wire ? (size_t)plain : (size_t)MIN((uint64_t)raw, plain);
}

static uint64_t on_written(const struct flow *flow)
{
    return tls_of(flow)->written;
}

static int on_shutdown(struct flow *flow)
{
    struct tls *tls = tls_of(flow);

    if (!tls->open)
        return -ENOTCONN;
    if (tls->shut)
        return 0;
    tls->shut = true;
    tls->more = true;
    if (!tls->error)
        (void)SSL_shutdown(tls->ssl);
    tls->more = false;
    tls->fin = true;
    tls_flush(tls);
    return 0;
}

static void on_done(struct flow *flow)
{
    struct tls *tls = tls_of(flow);

    timer_cancel(flow->flows->timers, &tls->later);
    if (tls->ssl) {
        /* Else what was agreed on would not be resumed: SSL_free takes it for an attack. */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(tls->ssl);
    }
    plain_put(tls);
    free(tls->queued);
    free(tls->reason);
    tls_context_put(tls->context);
    arena_put(tls);
}

static const struct flow_filter_ops ops = {
    .write = on_write,
    .room = on_room,
    .peek = on_peek,
    .consume = on_consume,
    .unread = on_unread,
    .unacked = on_unacked,
    .written = on_written,
    .shutdown = on_shutdown,
    .event = on_event,
    .done = on_done,
};

static int begin(struct flow *flow, struct tls_context *context, unsigned opens_with)
{
    struct tls *tls = arena_get_zeroed(sizeof(*tls));

    if (!tls)
        return -ENOMEM;
    tls->filter.ops = &ops;
    tls->flow = flow;
    tls->context = context;
    timer_init(&tls->later, later_fire);
    int status = flow_set_filter(flow, &tls->filter);
    if (status < 0) {
        arena_put(tls);
        return status;
    }
    tls_context_hold(context);
    if (flow->state >= FLOW_OPEN) {
        tls->opens_with = (uint8_t)opens_with;
        tell_later(tls);
    }
    return 0;
}

int tls_begin(struct flow *flow, struct tls_context *context)
{
    return begin(flow, context, FLOW_CONNECTED);
}

int tls_begin_called(struct flow *flow, struct tls_context *context)
{
    return begin(flow, context, FLOW_ACCEPTED);
}

bool tls_is_on(const struct flow *flow)
{
    return flow_filter(flow) && flow_filter(flow)->ops == &ops;
}
