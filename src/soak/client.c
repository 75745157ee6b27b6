/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client: one connection from its first SYN until it is given up, and what comes in on it.
 *
 * Each is on the list of its state, oldest first, and so is each request under way on the run's:
 * since all have the same patience one timer watches the heads (run.c), and no client costs one.
 *
 * What came is read here, for all protocols: an answer is taken up to its end, its bytes are
 * consumed before anything is sent for it, so that the acknowledgement rides along.
 */
#include "soak/run.h"

#include "base/arena.h"
#include "base/macro.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

enum { PEEK_VECTORS = 16 };

static const struct flow_ops client_flow_ops;

static struct client *client_of_flow(struct flow *flow)
{
    return (struct client *)(void *)flow;
}

/* ---- states ---- */

void client_set_state(struct client *client, enum client_state state)
{
    struct run *run = client->run;

    run->in_state[client->state]--;
    run->in_state[state]++;
    list_remove(&client->node);
    client->state = (uint8_t)state;
    client->started_ns = run_now(run);
    if (state == CLIENT_OVER)
        return;
    list_add_tail(&run->clients[state], &client->node);
    if (state == CLIENT_CONNECTING || state == CLIENT_GREETING || state == CLIENT_ENDING)
        run_watch(run);
}

void client_let_go(struct client *client)
{
    struct run *run = client->run;

    if (client->state == CLIENT_HELD)
        hold_let_go(client);
    if (client->state == CLIENT_THINKING && run->pause.kind)
        timer_cancel(run->flows->timers, &thought_of(client)->timer);
    client_set_state(client, CLIENT_OVER);
    run->open--;
    while (!list_empty(&client->requests))
        request_free(list_entry(client->requests.next, struct request, sibling));
    if (client_ops(client)->let_go)
        client_ops(client)->let_go(client);
    flow_free(&client->flow);
    if (client->flow.orphan)
        list_add_tail(&run->closing, &client->node); /* until its end has crossed */
    else
        run->measure.found.counts.closed++;
}

void client_close(struct client *client)
{
    /* An upload that ended with its answer: nobody takes the rest, so no FIN can follow it. */
    bool cut = client->state == CLIENT_LEAVING && flow_unacked(&client->flow) > 0;

    if (!client->run->config.close_with_reset && !flow_is_udp(&client->flow) && !cut) {
        if (client_ops(client)->closing && client->flow.state == FLOW_OPEN)
            client_ops(client)->closing(client);
        flow_close(&client->flow);
    }
    client_let_go(client); /* what is still open is reset */
}

void client_end(struct client *client)
{
    struct run *run = client->run;

    client_close(client);
    run_after_end(run);
}

/* ---- what a protocol is given ---- */

void *client_own(const struct client *client)
{
    return (void *)(uintptr_t)(client + 1);
}

void *client_run(const struct client *client)
{
    return client->run->soak->own;
}

const struct peer_soak_config *client_config(const struct client *client)
{
    return &client->run->config;
}

struct flow *client_flow(struct client *client)
{
    return &client->flow;
}

uint64_t client_key(const struct client *client)
{
    return client->run->soak->seed ^ client->id * UINT64_C(0xd1342543de82ef95);
}

uint64_t client_now(const struct client *client)
{
    return run_now(client->run);
}

uint8_t *client_scratch(const struct client *client)
{
    return client->run->soak->scratch;
}

struct peer_soak_counts *client_counts(struct client *client)
{
    return &client->run->measure.found.counts;
}

bool client_is_over(const struct client *client)
{
    return client->state == CLIENT_OVER;
}

struct request *client_request(const struct client *client)
{
    if (list_empty(&client->requests) || client->state < CLIENT_READY)
        return NULL;
    return list_entry(client->requests.next, struct request, sibling);
}

struct request *client_request_numbered(const struct client *client, uint32_t number)
{
    struct list *node;

    list_each(node, &client->requests)
    {
        struct request *request = list_entry(node, struct request, sibling);
        if (request->number == number)
            return request;
    }
    return NULL;
}

struct request *client_request_after(const struct client *client, const struct request *request)
{
    const struct list *next = request->sibling.next;

    return next == &client->requests ? NULL : list_entry(next, struct request, sibling);
}

uint32_t client_under_way(const struct client *client)
{
    return client->under_way;
}

uint64_t client_number(const struct client *client)
{
    return client->id;
}

void client_back_off(struct client *client)
{
    run_back_off(client);
}

uint32_t client_asked(const struct client *client)
{
    return client->asked;
}

bool client_is_last(const struct client *client)
{
    return client->last;
}

void client_end_after(struct client *client, bool remote_closes)
{
    client->last = true;
    client->remote_closes |= remote_closes;
}

void client_nudge_at(struct client *client, uint64_t at_ns)
{
    struct run *run = client->run;

    if (!timer_armed(&run->nudge) || at_ns < run->nudge.deadline_ns)
        run_arm(run, &run->nudge, at_ns);
}

ssize_t client_write(struct client *client, const void *data, size_t len, int flags)
{
    ssize_t done = flow_write(&client->flow, data, len, flags);

    if (done > 0)
        client->run->measure.found.counts.bytes_sent += (uint64_t)done;
    return done;
}

uint64_t client_behind(const struct client *client)
{
    return run_behind(client->run);
}

/* ---- its beginning ---- */

static size_t client_bytes(const struct run *run)
{
    if (!run->pause.kind)
        return sizeof(struct client) + run_client_bytes(run);
    return sizeof(struct client) + thought_at(run) + sizeof(struct thought);
}

int client_open(struct run *run, struct client **ret_client)
{
    struct soak *soak = run->soak;
    struct client *client = arena_get_zeroed(client_bytes(run));

    if (!client)
        return -ENOMEM;
    client->run = run;
    client->id = soak->next_id++;
    client->state = CLIENT_OVER;
    client->slots = 1;
    list_init(&client->node);
    list_init(&client->requests);
    flow_init(&client->flow, run->flows, &client_flow_ops);
    struct stack_tuple tuple = {.local = addr_set_at(soak->peers, soak->next_peer),
                                .remote = run->config.to,
                                .remote_port = run->config.to_port};
    soak->next_peer = (soak->next_peer + 1) % soak->peers->count;
    flow_introduce(&client->flow, run->config.proxy_protocol);
    int status = share_dress(client);
    if (status == 0 && soak->tls && !soak->protocol->tls_later)
        status = tls_begin(&client->flow, soak->tls);
    if (status == 0)
        status =
            flow_connect(&client->flow, run->config.udp ? IPPROTO_UDP : IPPROTO_TCP, &tuple, 0);
    if (status < 0) {
        flow_free(&client->flow);
        return status;
    }
    *ret_client = client;
    return 0;
}

static void hold(struct client *client)
{
    struct run *run = client->run;

    if (share_parks(client)) {
        client_set_state(client, CLIENT_ENDING);
        return;
    }
    if (run_exhausted(run) || client->surplus) {
        client_end(client);
        return;
    }
    uint64_t wanted_ns = run_take(run); /* -n counts them */
    client_set_state(client, CLIENT_HELD);
    run->measure.found.counts.requests += run_counts(run, wanted_ns);
    hold_connected(run);
}

void client_ready(struct client *client, uint32_t slots)
{
    bool again = client->again && client->under_way;

    client->slots = (uint16_t)MIN(slots, (uint32_t)UINT16_MAX);
    if (client->state == CLIENT_GREETING && run_holds(client->run)) {
        hold(client);
    } else if (client->state == CLIENT_GREETING && again) {
        client_set_state(client, CLIENT_BUSY);
        client_ops(client)->ask(client, client_request(client));
    } else if (client->state == CLIENT_GREETING) {
        client_set_state(client, CLIENT_READY);
        run_next(client);
    } else if (client->state == CLIENT_BUSY && client->under_way < client->slots) {
        run_next(client);
    } else if (client->state == CLIENT_READY &&
               (client->last || client->under_way >= client->slots)) {
        run_next(client);
    }
}

void client_logged_in(struct client *client)
{
    struct run *run = client->run;

    if (run_counts(run, client->started_ns))
        measure_since(&run->measure, PEER_HISTOGRAM_LOGIN, client->started_ns,
                      flow_arrived_last_ns(&client->flow));
}

/* What was agreed on, of the first. */
static void note_agreed(struct client *client, char text[RESULT_TLS_TEXT])
{
    struct peer_tls_info info;

    if (text[0] || !tls_get_info(&client->flow, &info))
        return;
    snprintf(text, RESULT_TLS_TEXT, "%s, %s%s%s%s%s, certificate %s", info.version, info.cipher,
             info.group[0] ? ", " : "", info.group, info.alpn[0] ? ", ALPN " : "", info.alpn,
             info.verified[0] ? info.verified : "none");
}

/* TLS stands: counts, and what is spoken on it. */
static void note_tls(struct client *client, bool measured)
{
    struct measure *measure = &client->run->measure;
    const struct protocol *protocol = client->run->soak->protocol;

    client->other = protocol->other && tls_alpn_is(&client->flow, protocol->other_alpn);
    if (!measured)
        return;
    measure->found.counts.tls++;
    measure->found.counts.tls_resumed += tls_is_resumed(&client->flow);
    measure_latency(measure, PEER_HISTOGRAM_TLS, tls_handshake_ns(&client->flow));
    note_agreed(client, measure->found.tls_agreed);
}

bool client_wants_tls(const struct client *client)
{
    return client->run->soak->tls;
}

bool client_has_tls(const struct client *client)
{
    return client->run->soak->tls && tls_is_on(&client->flow);
}

int client_begin_tls(struct client *client)
{
    return tls_begin(&client->flow, client->run->soak->tls);
}

/* TLS that began on an open connection stands. */
static void client_secured(struct client *client)
{
    note_tls(client, run_counts(client->run, client->flow.opened_ns));
    client_set_state(client, CLIENT_GREETING);
    client_ops(client)->opened(client);
}

void client_connected(struct client *client)
{
    struct run *run = client->run;
    bool measured = run_counts(run, client->flow.opened_ns);

    run->measure.found.counts.established += measured;
    run->measure.found.counts.bytes_sent += client->flow.introduced;
    if (measured && !flow_is_udp(&client->flow))
        measure_latency(&run->measure, PEER_HISTOGRAM_HANDSHAKE,
                        (uint64_t)client->flow.handshake_ns);
    if (client_has_tls(client))
        note_tls(client, measured);
    if (run_holds(run) && !run->ops->opened) { /* those must be held to count as a success */
        hold(client);
        return;
    }
    run->failures = 0;
    if (client->state == CLIENT_ENDING) /* it is parked */
        return;
    client_set_state(client, CLIENT_GREETING);
    if (client_ops(client)->opened)
        client_ops(client)->opened(client);
    else
        client_ready(client, 1);
}

/* ---- what comes in ---- */

void client_fail(struct client *client, enum peer_soak_error kind, const char *format, ...)
{
    struct run *run = client->run;
    bool opening = client->state <= CLIENT_GREETING;
    va_list arguments, again;

    if (client_is_over(client))
        return;
    va_start(arguments, format);
    uint64_t at_ns = client->state == CLIENT_HELD ? client->started_ns : run_now(run);
    if (!list_empty(&client->requests)) {
        struct list *node;
        list_each(node, &client->requests)
        {
            va_copy(again, arguments);
            at_ns = list_entry(node, struct request, sibling)->intended_ns;
            run_error(run, client, at_ns, kind, format, again);
            request_count_error(list_entry(node, struct request, sibling));
            va_end(again);
        }
    } else if (!opening || !client->asked || !run_exhausted(run)) { /* else nothing was wanted of it */
        if (opening)
            at_ns = run_take_lost(run, client->flow.opened_ns);
        run_error(run, client, at_ns, kind, format, arguments);
    }
    va_end(arguments);
    if (opening || run_holds(run))
        run_back_off(client);
    client_let_go(client);
    run_after_end(run);
}

void client_error(struct client *client, enum peer_soak_error kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    run_error(client->run, client, run_now(client->run), kind, format, arguments);
    va_end(arguments);
}

/* The first bytes that come before, or without, any request. */
static void note_greeting(struct client *client, const struct iovec *iov)
{
    struct run *run = client->run;

    if (client->spoke)
        return;
    client->spoke = true;
    client_said(client, iov->iov_base, iov->iov_len);
    if (client->state == CLIENT_HELD && run_counts(run, client->started_ns))
        measure_since(&run->measure, PEER_HISTOGRAM_FIRST_BYTE, client->started_ns,
                      flow_arrived_ns(&client->flow));
}

/* Whose the bytes are that came: the oldest request's, or nobody's. False when the client is over. */
static bool note_bytes(struct client *client, struct request *request, const struct iovec *iov)
{
    const struct protocol_ops *ops = client_ops(client);

    if (!request && !ops->unasked && client->state != CLIENT_GREETING) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "bytes came that nobody asked for");
        return false;
    }
    if (request && !request->first_byte && !ops->any_order && !ops->marks) {
        client_said(client, iov->iov_base, iov->iov_len);
        request_first_byte(request);
    } else if (!request) {
        note_greeting(client, iov);
    }
    return true;
}

/* Reads up to the end of an answer, or of what came. */
static enum taken read_some(struct client *client, struct request *request, const struct iovec *iov,
                            int count, size_t *ret_used)
{
    struct run *run = client->run;
    enum taken taken = TAKEN_MORE;

    *ret_used = 0;
    for (int i = 0; i < count && taken == TAKEN_MORE; i++) {
        size_t used = iov[i].iov_len;
        run->measure.found.counts.bytes_received += used; /* what is wrong came too */
        taken = client_ops(client)->take(client, request, iov[i].iov_base, iov[i].iov_len, &used);
        run->measure.found.counts.bytes_received -= iov[i].iov_len - used;
        *ret_used += used;
    }
    return taken;
}

/* One answer, or a part of one. False: there is no more to be read. */
static bool receive_some(struct client *client)
{
    const struct protocol_ops *ops = client_ops(client);
    struct request *request = client_request(client);
    struct iovec iov[PEEK_VECTORS];
    size_t used;

    int count = flow_peek(&client->flow, iov, PEEK_VECTORS);
    if (count <= 0 || !note_bytes(client, request, iov))
        return false;
    enum taken taken = read_some(client, request, iov, count, &used);
    if (taken == TAKEN_WRONG || client_is_over(client))
        return false;
    if (taken == TAKEN_LAST) {
        used = iov_total(iov, count);
        taken = TAKEN_ANSWER;
    }
    bool alone = request && client->under_way == 1 && !ops->unasked;
    if (taken == TAKEN_ANSWER && alone && used < iov_total(iov, count)) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "bytes follow the end of the answer");
        return false;
    }
    flow_consume(&client->flow, used);
    if (ops->taken)
        ops->taken(client, request, taken);
    else if (taken == TAKEN_ANSWER && request)
        request_done(request);
    return !client_is_over(client);
}

static void receive(struct client *client)
{
    while (receive_some(client))
        ;
}

static void receive_datagrams(struct client *client)
{
    struct iovec iov[PEEK_VECTORS];
    uint8_t datagram[65536];
    int count;

    while (!client_is_over(client) && (count = flow_peek(&client->flow, iov, PEEK_VECTORS)) > 0) {
        size_t len = iov_gather(iov, count, datagram);
        flow_consume(&client->flow, len);
        client->run->measure.found.counts.bytes_received += len;
        if (client_ops(client)->datagram)
            client_ops(client)->datagram(client, client_request(client), datagram, len);
    }
}

/* ---- events ---- */

static void on_writable(struct client *client)
{
    struct request *request = client_request(client);

    if (client->state == CLIENT_HELD)
        hold_writable(client);
    else if (request && client_ops(client)->writable)
        client_ops(client)->writable(client, request);
}

static void on_eof(struct client *client)
{
    const struct protocol_ops *ops = client_ops(client);
    struct request *request = client_request(client);

    if (share_parks(client))
        return;
    if (request && ops->eof)
        ops->eof(client, request);
    else if (request || client->state == CLIENT_HELD || client->state == CLIENT_GREETING)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "%s", client_closed_text(client));
    else
        client_end(client); /* the application closes an idle connection */
}

bool client_is_truncated(const struct client *client)
{
    return client_has_tls(client) && tls_is_truncated(&client->flow);
}

static void on_end(struct client *client)
{
    static const struct {
        enum peer_soak_error kind;
        const char *text;
    } errors[] = {
        [PEER_END_NONE] = {PEER_SOAK_CLOSED_EARLY, "the connection ended"},
        [PEER_END_CLOSED] = {PEER_SOAK_CLOSED_EARLY, NULL},
        [PEER_END_REFUSED] = {PEER_SOAK_REFUSED, "connection refused"},
        [PEER_END_RESET] = {PEER_SOAK_RESET, "connection reset"},
        [PEER_END_TIMEOUT] = {PEER_SOAK_TIMEOUT, "timed out"},
        [PEER_END_UNREACHABLE] = {PEER_SOAK_REFUSED, NULL},
        [PEER_END_LOCAL] = {PEER_SOAK_CLOSED_EARLY, "reset by this peer"},
        [PEER_END_DEVICE] = {PEER_SOAK_CLOSED_EARLY, "the device is gone"},
        [PEER_END_TARGET] = {PEER_SOAK_CLOSED_EARLY, "the target is no longer this machine's"},
        [PEER_END_TLS] = {PEER_SOAK_TLS_PROTOCOL, NULL}, /* client_tls_error tells */
    };
    struct run *run = client->run;
    enum peer_end end = flow_end(&client->flow);
    struct request *request = client_request(client);

    const struct protocol_ops *ops = client_ops(client);

    if (request && end == PEER_END_RESET && ops->reset && ops->reset(client, request))
        return;
    bool meant = end == PEER_END_LOCAL && !run_is_healthy(run); /* that is its manner */
    bool awaited = request || client->state <= CLIENT_GREETING || client->state == CLIENT_HELD;
    const char *text = errors[end].text;
    enum peer_soak_error kind = errors[end].kind;
    if (client_has_tls(client) && tls_error(&client->flow))
        kind = client_tls_error(client, &text);
    if (awaited && !meant) {
        client_fail(client, kind, "%s", text ? text : client_closed_text(client));
    } else {
        client_let_go(client);
        run_after_end(run);
    }
}

static void on_unreachable(struct client *client, struct request *request)
{
    if (client_ops(client)->lost)
        client_ops(client)->lost(client, request);
    request_lose(request, PEER_SOAK_REFUSED, "%s", client_unreachable_text(client));
}

static void client_event(struct flow *flow, unsigned events)
{
    struct client *client = client_of_flow(flow);
    struct run *run = client->run;

    client->in_event = true;
    share_note(client, events);
    if (events & FLOW_CONNECTED && client->state == CLIENT_GREETING) {
        client_secured(client);
    } else if (events & FLOW_CONNECTED) {
        client_connected(client);
        if (!run->over)
            run_open_more(run);
    }
    if (events & FLOW_READABLE && !client_is_over(client)) {
        if (run->config.udp)
            receive_datagrams(client);
        else
            receive(client);
    }
    if (events & FLOW_WRITABLE && !client_is_over(client))
        on_writable(client);
    if (events & FLOW_UNREACHABLE && client_request(client))
        on_unreachable(client, client_request(client));
    if (events & FLOW_EOF && !client_is_over(client))
        on_eof(client);
    if (events & FLOW_END && !client_is_over(client))
        on_end(client);
    client->in_event = false;
    client_tell_asked(client);
}

static void client_release(struct flow *flow)
{
    struct client *client = client_of_flow(flow);

    list_remove(&client->node);
    if (flow->orphan && client->run)
        client->run->measure.found.counts.closed++;
    arena_put(client);
}

static void client_flow_left(struct flow *flow, uint32_t as, uint64_t at_ns)
{
    client_left(client_of_flow(flow), as, at_ns);
}

static const struct flow_ops client_flow_ops = {
    .event = client_event, .release = client_release, .left = client_flow_left};

void clients_cut_senders(const struct soak *soak)
{
    struct list *node, *after;

    list_each_safe(node, after, &soak->flows->all)
    {
        struct flow *flow = list_entry(node, struct flow, node);
        struct client *client = client_of_flow(flow);
        if (flow->ops != &client_flow_ops || !flow->orphan || !client->run ||
            client->run->soak != soak)
            continue;
        client->run = NULL;
        if (flow_unacked(flow))
            flow_reset(flow);
    }
}
