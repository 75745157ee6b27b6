/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SUPPORT_WIRE_H
#define SUPPORT_WIRE_H

#include "base/addr_set.h"
#include "base/macro.h"
#include "engine/engine.h"
#include "packet/parse.h"
#include "stack/stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * A network in one process and in virtual time: peers of one engine talk to each other over a wire
 * that delays every frame by the same time and loses those that a predicate names. Time jumps to
 * whatever is due next. What crossed the wire is kept as text and printed when a test asks for it.
 */
struct wire_frame {
    struct wire_frame *next;
    uint64_t due_ns;
    size_t len;
    struct frame_offload offload;
    uint8_t bytes[];
};

struct wire {
    struct engine *engine;
    struct device *far; /* the wire's end of the device */
    struct frame *buffer;
    struct frame_pool frames;
    struct addr_set peers;
    uint64_t now_ns, delay_ns;
    uint64_t late_ns; /* every turn comes so long after what it is for: a busy machine */
    uint64_t count; /* frames that peers sent */
    uint64_t lost;
    uint64_t digest; /* of all frames and their times */
    struct wire_frame *first, **last;
    /** Is frame `number` (from 1) lost? May be NULL. */
    bool (*loses)(void *user, uint64_t number, const struct packet *packet);
    void *user;
    /** A caller of a listener. */
    struct flow *(*accept)(void *user, struct stack_listener *listener,
                           const struct stack_tuple *tuple);
    char log[64][160]; /* the latest */
};

static inline struct flow *wire_accept(void *user, struct stack_listener *listener,
                                       const struct stack_tuple *tuple)
{
    struct wire *wire = user;
    return wire->accept ? wire->accept(wire->user, listener, tuple) : NULL;
}

/* `peers`: text of the address set. */
static inline void wire_init(struct wire *wire, const char *peers, bool offload, uint64_t seed)
{
    struct engine_config config = {.peers = &wire->peers,
                                   .seed = seed,
                                   .max_flows = 1000000,
                                   .real_size = !offload,
                                   .accept = wire_accept,
                                   .user = wire,
                                   .now_ns = NS_PER_S};
    memset(wire, 0, sizeof(*wire));
    wire->last = &wire->first;
    wire->now_ns = NS_PER_S;
    wire->delay_ns = NS_PER_MS;
    link_spec_clear(&config.links[0]);
    link_spec_clear(&config.links[1]);
    assert_int_equal(addr_set_parse(peers, &wire->peers, NULL), 0);
    frame_pool_init(&wire->frames);
    assert_int_equal(device_mem_pair(FRAME_IP, 1500, offload, 1000000, &config.device, &wire->far),
                     0);
    assert_int_equal(engine_new(&config, &wire->engine), 0);
    wire->buffer = frame_get(&wire->frames, FRAME_LARGE_BYTES);
}

static inline void wire_done(struct wire *wire)
{
    engine_free(wire->engine);
    device_free(wire->far);
    while (wire->first) {
        struct wire_frame *next = wire->first->next;
        free(wire->first);
        wire->first = next;
    }
    frame_put(wire->buffer);
    frame_pool_done(&wire->frames);
    addr_set_done(&wire->peers);
    assert_int_equal(stack_pool_used(), 0); /* nothing of lwIP's is left */
}

static inline void wire_print_log(const struct wire *wire)
{
    for (uint64_t i = wire->count > 64 ? wire->count - 64 : 0; i < wire->count; i++)
        fprintf(stderr, "%s\n", wire->log[i % 64]);
}

static inline void wire_note(struct wire *wire, const struct frame *frame, bool lost)
{
    char *line = wire->log[wire->count % 64];
    int len = snprintf(line, 160, "%4llu %.6f %s", (unsigned long long)wire->count + 1,
                       (double)wire->now_ns / 1e9, lost ? "LOST " : "");
    packet_format(frame->data, frame->len, FRAME_IP, line + len, (size_t)(160 - len));
    for (size_t i = 0; i < frame->len; i += 7)
        wire->digest = (wire->digest ^ frame->data[i]) * UINT64_C(0x100000001b3);
    wire->digest = (wire->digest ^ wire->now_ns) * UINT64_C(0x100000001b3);
}

/* Takes what the peers sent. */
static inline int wire_take(struct wire *wire)
{
    int count = 0;

    while (device_recv(wire->far, wire->buffer) == 1) {
        struct frame *frame = wire->buffer;
        struct packet packet;
        packet_parse(frame->data, frame->len, FRAME_IP, &packet);
        bool lost = wire->loses && wire->loses(wire->user, wire->count + 1, &packet);
        wire_note(wire, frame, lost);
        wire->count++;
        wire->lost += lost;
        count++;
        if (lost)
            continue;
        struct wire_frame *copy = malloc(sizeof(*copy) + frame->len);
        assert_non_null(copy);
        copy->next = NULL;
        copy->due_ns = wire->now_ns + wire->delay_ns;
        copy->len = frame->len;
        copy->offload = frame->offload;
        memcpy(copy->bytes, frame->data, frame->len);
        *wire->last = copy;
        wire->last = &copy->next;
    }
    return count;
}

static inline int wire_deliver(struct wire *wire)
{
    int count = 0;

    while (wire->first && wire->first->due_ns <= wire->now_ns) {
        struct wire_frame *frame = wire->first;
        struct iovec iov = {frame->bytes, frame->len};
        wire->first = frame->next;
        if (!wire->first)
            wire->last = &wire->first;
        assert_int_equal(device_send(wire->far, &iov, 1, &frame->offload), 0);
        free(frame);
        count++;
    }
    return count;
}

/** Runs until `done` says so, nothing is left to do, or `limit_ns` of virtual time have gone by. */
static inline void wire_run(struct wire *wire, uint64_t limit_ns, bool (*done)(void *user))
{
    uint64_t until_ns = wire->now_ns + limit_ns;

    for (;;) {
        assert_int_equal(engine_step(wire->engine, wire->now_ns), 0);
        int moved = wire_take(wire) + wire_deliver(wire);
        if (done && done(wire->user))
            return;
        if (moved)
            continue;
        uint64_t next_ns = engine_next_ns(wire->engine);
        if (wire->first)
            next_ns = MIN(next_ns, wire->first->due_ns);
        if (next_ns == TIMER_NEVER || next_ns > until_ns) {
            wire->now_ns = MAX(wire->now_ns, MIN(until_ns, next_ns));
            assert_int_equal(engine_step(wire->engine, wire->now_ns), 0); /* knows the time */
            return;
        }
        wire->now_ns = MAX(next_ns + wire->late_ns, wire->now_ns);
    }
}

/* ---- flows that remember what happened to them ---- */

struct wire_flow {
    struct flow flow; /* first */
    unsigned seen;    /* events */
    uint64_t connected_ns, readable_ns, end_ns;
    enum peer_end end;
    bool released;
    struct wire *wire;
    /** Called at each event; may be NULL. */
    void (*on_event)(struct wire_flow *flow, unsigned events);
    void *user;
};

static inline void wire_flow_event(struct flow *base, unsigned events)
{
    struct wire_flow *flow = (struct wire_flow *)(void *)base;

    flow->seen |= events;
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED))
        flow->connected_ns = flow->wire->now_ns;
    if (events & FLOW_READABLE)
        flow->readable_ns = flow->wire->now_ns;
    if (events & FLOW_END) {
        flow->end = flow_end(base);
        flow->end_ns = flow->wire->now_ns;
    }
    if (flow->on_event)
        flow->on_event(flow, events);
}

static inline void wire_flow_release(struct flow *base)
{
    ((struct wire_flow *)(void *)base)->released = true;
}

static const struct flow_ops wire_flow_ops = {.event = wire_flow_event,
                                              .release = wire_flow_release};

static inline struct peer_addr wire_addr(const char *text)
{
    struct peer_addr addr;

    assert_int_equal(peer_addr_parse(text, &addr), 0);
    return addr;
}

static inline int wire_connect(struct wire *wire, struct wire_flow *flow, uint8_t protocol,
                               const char *from, const char *to, uint16_t port)
{
    struct stack_tuple tuple = {
        .local = wire_addr(from), .remote = wire_addr(to), .remote_port = port};

    flow->wire = wire;
    flow_init(&flow->flow, engine_flows(wire->engine), &wire_flow_ops);
    return flow_connect(&flow->flow, protocol, &tuple, 0);
}

static inline struct stack_listener *wire_listen(struct wire *wire, uint8_t protocol,
                                                 const char *at, uint16_t port)
{
    struct stack_listener *listener;
    struct peer_addr addr = wire_addr(at);

    assert_int_equal(
        stack_listen(engine_stack(wire->engine), protocol, &addr, port, NULL, &listener), 0);
    return listener;
}

#endif
