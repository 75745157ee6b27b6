/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a flow. State changes go through flow_set_state alone, which knows the legal ones;
 * everything else here is counting and passing on.
 *
 * Memory: an owner gives a flow up by flow_free, at any time, from within any event. It is put on
 * the list of the dead and released by flows_reap at the end of the iteration, when nothing can
 * hold a pointer to it any more. A flow that is closing in order when it is given up stays, as an
 * orphan, until its end, as a socket does after close(2).
 *
 * A watch and a filter are rare and share one pointer, so that other flows pay one comparison for
 * both. The watch sees the raw bytes, the filter is between them and the owner (filter.h).
 */
#include "flow/filter.h"

#include "base/macro.h"
#include "flow/proxy_header.h"
#include "stack/stack.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define BIT(state) (1u << (state))

/* For each state the states that may follow. */
static const uint8_t allowed[FLOW_STATES] = {
    [FLOW_NEW] = BIT(FLOW_CONNECTING) | BIT(FLOW_OPEN),
    [FLOW_CONNECTING] = BIT(FLOW_OPEN) | BIT(FLOW_CLOSING) | BIT(FLOW_ENDED),
    [FLOW_OPEN] =
        BIT(FLOW_REMOTE_DONE) | BIT(FLOW_LOCAL_DONE) | BIT(FLOW_CLOSING) | BIT(FLOW_ENDED),
    [FLOW_REMOTE_DONE] = BIT(FLOW_CLOSING) | BIT(FLOW_ENDED),
    [FLOW_LOCAL_DONE] = BIT(FLOW_CLOSING) | BIT(FLOW_ENDED),
    [FLOW_CLOSING] = BIT(FLOW_ENDED),
    [FLOW_ENDED] = 0,
};

static const char *const names[] = {
    [FLOW_NEW] = "new",
    [FLOW_CONNECTING] = "connecting",
    [FLOW_OPEN] = "open",
    [FLOW_REMOTE_DONE] = "remote-done",
    [FLOW_LOCAL_DONE] = "local-done",
    [FLOW_CLOSING] = "closing",
    [FLOW_ENDED] = "ended",
};
static_assert(ARRAY_SIZE(names) == FLOW_STATES, "every state has a name");

const char *flow_state_name(enum flow_state state)
{
    return names[state];
}

static void flow_set_state(struct flow *flow, enum flow_state state)
{
    if (flow->state == state)
        return;
    assert(allowed[flow->state] & BIT(state));
    flow->state = (uint8_t)state;
}

void flows_init(struct flows *flows, struct stack *stack, struct timers *timers)
{
    *flows = (struct flows){.stack = stack, .timers = timers};
    list_init(&flows->all);
    list_init(&flows->dead);
}

void flows_set_now(struct flows *flows, uint64_t now_ns)
{
    flows->now_ns = now_ns;
}

/* ---- watch and filter ---- */

struct flow_hooks {
    struct flow_watch *watch;
    struct flow_filter *filter;
    bool ended;  /* by flow_filter_close: the owner has heard of it */
    uint8_t end; /* how */
};

static struct flow_hooks *hooks_of(struct flow *flow)
{
    if (!flow->hooks)
        flow->hooks = calloc(1, sizeof(*flow->hooks));
    return flow->hooks;
}

static void unhook(struct flow *flow)
{
    struct flow_hooks *hooks = flow->hooks;

    if (!hooks)
        return;
    if (hooks->filter && hooks->filter->ops->done)
        hooks->filter->ops->done(flow);
    if (hooks->watch)
        hooks->watch->done(flow);
    flow->hooks = NULL;
    free(hooks);
}

struct flow_watch *flow_watch(const struct flow *flow)
{
    return flow->hooks ? flow->hooks->watch : NULL;
}

struct flow_filter *flow_filter(const struct flow *flow)
{
    return flow->hooks ? flow->hooks->filter : NULL;
}

int flow_set_watch(struct flow *flow, struct flow_watch *watch)
{
    struct flow_hooks *hooks = hooks_of(flow);

    if (!hooks)
        return -ENOMEM;
    hooks->watch = watch;
    return 0;
}

int flow_set_filter(struct flow *flow, struct flow_filter *filter)
{
    struct flow_hooks *hooks = hooks_of(flow);

    if (!hooks)
        return -ENOMEM;
    filter->opening = true;
    hooks->filter = filter;
    return 0;
}

/* What the owner hears of `events`. */
static unsigned filter_events(struct flow *flow, struct flow_filter *filter, unsigned events)
{
    if (flow->hooks->ended) {
        flow->conn.end = flow->hooks->end;
        return 0;
    }
    if (filter->ops->event)
        events = filter->ops->event(flow, events) | (events & FLOW_END);
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED | FLOW_END))
        filter->opening = false;
    return events;
}

/* ---- life ---- */

/* Off the books; the memory follows at the end of the iteration. */
static void flow_bury(struct flow *flow)
{
    struct flows *flows = flow->flows;

    timer_cancel(flows->timers, &flow->deadline);
    unhook(flow);
    stack_conn_done(flows->stack, &flow->conn);
    list_remove(&flow->node);
    list_add_tail(&flows->dead, &flow->node);
    flows->count--;
}

void flows_reap(struct flows *flows)
{
    struct list *node;

    while ((node = list_pop(&flows->dead))) {
        struct flow *flow = list_entry(node, struct flow, node);
        flow->ops->release(flow);
    }
}

void flows_done(struct flows *flows)
{
    while (!list_empty(&flows->all))
        flow_bury(list_entry(flows->all.next, struct flow, node));
    flows_reap(flows);
}

/* What was written with FLOW_WRITE_MORE, and no more came. */
static void let_leave(struct flow *flow)
{
    (void)stack_tcp_write(flow->flows->stack, &flow->conn, NULL, 0, 0);
}

/* The owner has had the time to write something that it rides with. */
static void let_introduction_leave(struct flow *flow)
{
    if (flow->introduced)
        let_leave(flow);
}

static void deadline_fire(struct timer *timer, uint64_t now_ns)
{
    struct flow *flow = list_entry(timer, struct flow, deadline);

    (void)now_ns;
    const struct flow_filter *filter = flow_filter(flow);
    bool opening = flow->state < FLOW_ENDED && filter && filter->opening;
    if (flow->state != FLOW_CONNECTING && !opening) {
        let_introduction_leave(flow);
        return;
    }
    stack_abort(flow->flows->stack, &flow->conn, true);
    /* A router may have said why. */
    flow->conn.end = flow->conn.icmp_type ? PEER_END_UNREACHABLE : PEER_END_TIMEOUT;
    flows_event(&flow->conn, FLOW_END);
}

void flow_init(struct flow *flow, struct flows *flows, const struct flow_ops *ops)
{
    flow->flows = flows;
    flow->ops = ops;
    timer_init(&flow->deadline, deadline_fire);
    list_add_tail(&flows->all, &flow->node);
    flows->count++;
}

void flow_init_accepted(struct flow *flow, struct flows *flows, const struct flow_ops *ops)
{
    flow_init(flow, flows, ops);
    flow->opened_ns = flows->now_ns;
    flow_set_state(flow, FLOW_CONNECTING);
}

int flow_connect(struct flow *flow, uint8_t protocol, struct stack_tuple *tuple,
                 uint64_t timeout_ns)
{
    struct flows *flows = flow->flows;
    bool udp = protocol == IPPROTO_UDP;
    flows->awaited = (struct flow_awaited){.flow = udp ? NULL : flow};
    int status = udp ? stack_udp_connect(flows->stack, &flow->conn, tuple)
                     : stack_tcp_connect(flows->stack, &flow->conn, tuple);
    flows->awaited.flow = NULL;
    if (status < 0)
        return status;
    flow->opened_ns = flows->now_ns;
    flow_set_state(flow, udp ? FLOW_OPEN : FLOW_CONNECTING);
    if (flow_watch(flow))
        flow_watch(flow)->look(flow, FLOW_OPENED);
    if (timeout_ns && !udp)
        status = timer_arm(flows->timers, &flow->deadline, flows->now_ns + timeout_ns);
    return status;
}

void flow_left(const struct flow_awaited *awaited, uint64_t since_ns, uint64_t at_ns)
{
    struct flow *flow = awaited->flow;

    if (flow->state == FLOW_CONNECTING)
        flow->opened_ns = at_ns;
    stack_conn_left(&flow->conn, since_ns, at_ns);
    if (awaited->as && flow->ops->left)
        flow->ops->left(flow, awaited->as, at_ns);
}

int flow_set_facts(struct flow *flow, uint8_t family, const struct stack_facts *facts)
{
    return stack_set_facts(flow->flows->stack, &flow->conn, family, facts);
}

/* ---- the PROXY header ---- */

void flow_introduce(struct flow *flow, uint8_t version)
{
    flow->introduces = version;
}

/* Nothing is queued yet, and for that each connection has room (stack/limits.h): the header fits, or
   there is no memory, and without it the other side would take our first bytes for one. */
static unsigned introduce(struct flow *flow)
{
    uint8_t header[PROXY_HEADER_MOST];
    struct stack_tuple tuple;

    if (!stack_conn_tuple(&flow->conn, &tuple))
        return 0;
    size_t len = proxy_header_write(flow->introduces, &tuple, header);
    ssize_t done =
        stack_tcp_write(flow->flows->stack, &flow->conn, header, len, STACK_WRITE_MORE);
    if (done != (ssize_t)len) {
        stack_abort(flow->flows->stack, &flow->conn, true);
        flow->conn.end = PEER_END_LOCAL;
        return FLOW_END;
    }
    flow->written = len;
    flow->introduced = (uint8_t)len;
    return 0;
}

/* Of a SYN that was repeated nobody knows which was answered: the owner waited since the first. The
   answer came when its frame was read: by now what it called for may have been sent. */
static uint64_t handshake_took(const struct flow *flow)
{
    const uint64_t at_ns = stack_arrival_ns(flow->flows->stack);

    return at_ns > flow->opened_ns ? at_ns - flow->opened_ns : 0;
}

/* What an event does to the state, in the order of the bits. Returns the events, as they are then. */
static unsigned flow_advance(struct flow *flow, unsigned events)
{
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED) && flow->state == FLOW_CONNECTING) {
        flow->handshake_ns = (float)handshake_took(flow);
        flow_set_state(flow, FLOW_OPEN);
        if (flow->introduces)
            events |= introduce(flow);
    }
    if (events & FLOW_EOF) {
        if (flow->state == FLOW_OPEN)
            flow_set_state(flow, FLOW_REMOTE_DONE);
        else if (flow->state == FLOW_LOCAL_DONE)
            flow_set_state(flow, FLOW_CLOSING);
    }
    if (events & FLOW_END && flow->state != FLOW_NEW)
        flow_set_state(flow, FLOW_ENDED);
    return events;
}

/* The owner is about to hear that the flow is open, or over. */
static void end_deadline(struct flow *flow, unsigned events)
{
    struct flows *flows = flow->flows;

    timer_cancel(flows->timers, &flow->deadline);
    if (flow->introduced && events & FLOW_CONNECTED && !(events & FLOW_END) &&
        timer_arm(flows->timers, &flow->deadline, flows->now_ns + FLOW_INTRODUCE_NS) < 0)
        let_introduction_leave(flow);
}

void flows_event(struct stack_conn *conn, unsigned events)
{
    struct flow *flow = (struct flow *)(void *)conn;

    events = flow_advance(flow, events);
    if (flow->orphan) {
        if (events & FLOW_READABLE) /* nobody reads: as a closed socket does */
            stack_abort(flow->flows->stack, conn, true);
        if (events & FLOW_END || !conn->pcb)
            flow_bury(flow);
        return;
    }
    if (flow_watch(flow))
        flow_watch(flow)->look(flow, events);
    if (flow_filter(flow) && !(events = filter_events(flow, flow_filter(flow), events)))
        return;
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED | FLOW_END))
        end_deadline(flow, events);
    flow->ops->event(flow, events);
}

unsigned flow_filter_fail(struct flow *flow, enum peer_end end)
{
    stack_abort(flow->flows->stack, &flow->conn, true);
    flow->conn.end = (uint8_t)end;
    flow_set_state(flow, FLOW_ENDED);
    return FLOW_END;
}

unsigned flow_filter_close(struct flow *flow, enum peer_end end)
{
    struct flow_hooks *hooks = flow->hooks;

    if (flow->state != FLOW_CLOSING)
        flow_set_state(flow, FLOW_CLOSING);
    stack_close(flow->flows->stack, &flow->conn);
    if (!flow->conn.pcb)
        flow_set_state(flow, FLOW_ENDED);
    flow->conn.end = hooks->end = (uint8_t)end;
    hooks->ended = true;
    return FLOW_END;
}

void flow_filter_set_end(struct flow *flow, enum peer_end end)
{
    flow->conn.end = (uint8_t)end;
}

void flow_filter_wake(struct flow *flow)
{
    flows_event(&flow->conn, 0);
}

/* ---- bytes ---- */

static void tell_watch(struct flow *flow, size_t written)
{
    struct flow_watch *watch = flow_watch(flow);

    if (!watch)
        return;
    if (watch->write_most != SIZE_MAX)
        watch->write_most -= MIN(watch->write_most, written);
    watch->look(flow, FLOW_WROTE);
}

ssize_t flow_raw_write(struct flow *flow, const void *data, size_t len, int flags)
{
    const struct flow_watch *watch = flow_watch(flow);
    ssize_t done;

    if (watch && flow->conn.pcb && len > watch->write_most) {
        len = watch->write_most;
        if (!len)
            return -EAGAIN;
    }
    struct flow_awaited *awaited = &flow->flows->awaited;
    const bool asked = awaited->flow;
    if (!asked)
        *awaited = (struct flow_awaited){.flow = flow};
    if (flow_is_udp(flow)) {
        int status = stack_udp_send(flow->flows->stack, &flow->conn, data, len);
        done = status < 0 ? status : (ssize_t)len;
    } else {
        done = stack_tcp_write(flow->flows->stack, &flow->conn, data, len, flags);
    }
    if (!asked)
        awaited->flow = NULL;
    if (done > 0) {
        flow->written += (uint64_t)done;
        tell_watch(flow, (size_t)done);
    }
    return done;
}

ssize_t flow_write_burst(struct flow *flow, const void *data, size_t len, size_t segment)
{
    int status = stack_udp_send_burst(flow->flows->stack, &flow->conn, data, len, segment);
    if (status < 0)
        return status;
    flow->written += len;
    tell_watch(flow, len);
    return (ssize_t)len;
}

size_t flow_raw_write_room(const struct flow *flow)
{
    const struct flow_watch *watch = flow_watch(flow);

    if (flow_is_udp(flow))
        return stack_udp_write_room(&flow->conn);
    size_t room = stack_tcp_write_room(&flow->conn);
    return watch ? MIN(room, watch->write_most) : room;
}

int flow_raw_peek(const struct flow *flow, struct iovec *iov, int count)
{
    return stack_peek(&flow->conn, iov, count);
}

void flow_raw_consume(struct flow *flow, size_t len)
{
    uint32_t before = flow->conn.rx_bytes;

    stack_consume(flow->flows->stack, &flow->conn, len);
    flow->consumed += before - flow->conn.rx_bytes;
}

size_t flow_raw_unread(const struct flow *flow)
{
    return flow->conn.rx_bytes;
}

size_t flow_raw_unacked(const struct flow *flow)
{
    return stack_tcp_queued(&flow->conn);
}

static bool is_held(const struct flow *flow)
{
    return flow_watch(flow) && flow_watch(flow)->holds;
}

int flow_raw_shutdown(struct flow *flow)
{
    if (flow_is_udp(flow))
        return 0;
    if (is_held(flow)) {
        let_leave(flow); /* the FIN that it waits to ride with does not come */
        return 0;
    }
    int status = stack_tcp_shutdown(flow->flows->stack, &flow->conn);
    if (status == 0 && flow->state == FLOW_OPEN)
        flow_set_state(flow, FLOW_LOCAL_DONE);
    else if (status == 0 && flow->state == FLOW_REMOTE_DONE)
        flow_set_state(flow, FLOW_CLOSING);
    return status;
}

/* What the owner calls: the filter's function where it has one. */
#define FILTERED(flow, name, raw, ...)                                                             \
    ((flow)->hooks && flow_filter(flow) && flow_filter(flow)->ops->name                            \
         ? flow_filter(flow)->ops->name(__VA_ARGS__)                                               \
         : raw(__VA_ARGS__))

ssize_t flow_write(struct flow *flow, const void *data, size_t len, int flags)
{
    return FILTERED(flow, write, flow_raw_write, flow, data, len, flags);
}

size_t flow_write_room(const struct flow *flow)
{
    return FILTERED(flow, room, flow_raw_write_room, flow);
}

int flow_peek(const struct flow *flow, struct iovec *iov, int count)
{
    return FILTERED(flow, peek, flow_raw_peek, flow, iov, count);
}

void flow_consume(struct flow *flow, size_t len)
{
    FILTERED(flow, consume, flow_raw_consume, flow, len);
}

size_t flow_unread(const struct flow *flow)
{
    return FILTERED(flow, unread, flow_raw_unread, flow);
}

size_t flow_unacked(const struct flow *flow)
{
    return FILTERED(flow, unacked, flow_raw_unacked, flow);
}

static uint64_t raw_written(const struct flow *flow)
{
    return flow->written - flow->introduced;
}

uint64_t flow_written(const struct flow *flow)
{
    return FILTERED(flow, written, raw_written, flow);
}

int flow_shutdown(struct flow *flow)
{
    return FILTERED(flow, shutdown, flow_raw_shutdown, flow);
}

/* ---- the end ---- */

void flow_close(struct flow *flow)
{
    if (flow->state == FLOW_NEW || flow->state == FLOW_ENDED)
        return;
    if (is_held(flow))
        return;
    const struct flow_filter *filter = flow_filter(flow);
    if (filter && !filter->opening && filter->ops->shutdown &&
        (flow->state == FLOW_OPEN || flow->state == FLOW_REMOTE_DONE))
        (void)filter->ops->shutdown(flow); /* its last word */
    if (flow->state == FLOW_CONNECTING)
        flow->conn.end = PEER_END_LOCAL; /* whatever the stack makes of it */
    if (flow->state != FLOW_CLOSING)
        flow_set_state(flow, FLOW_CLOSING);
    stack_close(flow->flows->stack, &flow->conn);
}

void flow_reset(struct flow *flow)
{
    if (flow->state == FLOW_NEW || flow->state == FLOW_ENDED)
        return;
    stack_abort(flow->flows->stack, &flow->conn, true);
    flow->conn.end = PEER_END_LOCAL;
    flows_event(&flow->conn, FLOW_END);
}

void flow_lose(struct flow *flow, enum peer_end end)
{
    if (flow->state == FLOW_NEW || flow->state == FLOW_ENDED)
        return;
    stack_abort(flow->flows->stack, &flow->conn, false);
    flow->conn.end = (uint8_t)end;
    flows_event(&flow->conn, FLOW_END);
}

void flow_free(struct flow *flow)
{
    if (flow->state == FLOW_CLOSING && flow->conn.pcb) {
        flow->orphan = true;
        unhook(flow);
        return;
    }
    flow_bury(flow);
}

int flow_roam(struct flow *flow, const struct peer_addr *to)
{
    return stack_roam(flow->flows->stack, &flow->conn, to);
}

bool flow_tuple(const struct flow *flow, struct stack_tuple *ret_tuple)
{
    return stack_conn_tuple(&flow->conn, ret_tuple);
}

void flow_info(const struct flow *flow, struct peer_flow_info *ret_info)
{
    struct stack_tuple tuple;

    memset(ret_info, 0, sizeof(*ret_info));
    stack_conn_info(flow->flows->stack, &flow->conn, ret_info);
    if (stack_conn_tuple(&flow->conn, &tuple)) {
        ret_info->from = tuple.local;
        ret_info->to = tuple.remote;
        ret_info->from_port = tuple.local_port;
        ret_info->to_port = tuple.remote_port;
    }
    ret_info->handshake_ns = (uint64_t)flow->handshake_ns;
    ret_info->bytes_sent = flow->written - ret_info->queued;
    ret_info->bytes_received = flow->consumed + flow->conn.rx_bytes;
}

/* ---- what the stack offers besides connections ---- */

int flows_listen(struct flows *flows, uint8_t protocol, const struct peer_addr *at, uint16_t port,
                 void *user, struct stack_listener **ret_listener)
{
    return stack_listen(flows->stack, protocol, at, port, user, ret_listener);
}

struct stack_listener *flows_unlisten(struct flows *flows, struct stack_listener *listener)
{
    return stack_listener_free(flows->stack, listener);
}

void *flow_listener_user(const struct stack_listener *listener)
{
    return stack_listener_user(listener);
}

void flow_listener_stats(const struct stack_listener *listener, uint64_t *ret_cookies,
                         uint64_t *ret_unheard)
{
    *ret_cookies = stack_listener_cookies(listener);
    *ret_unheard = stack_listener_unheard(listener);
}

int flows_syn(struct flows *flows, const struct stack_tuple *tuple)
{
    return stack_syn(flows->stack, tuple);
}

int flows_ping(struct flows *flows, const struct stack_ping *ping)
{
    return stack_ping(flows->stack, ping);
}

void flows_get_stats(const struct flows *flows, struct stack_stats *ret_stats)
{
    stack_get_stats(flows->stack, ret_stats);
}
