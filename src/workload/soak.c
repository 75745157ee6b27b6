/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The schedule of a run.
 *
 * Closed: every flow asks again as soon as it was answered (and has thought). Open (`rate`):
 * request k is wanted at start + k / rate (schedule.h); whichever flow is ready takes it, and its
 * latency counts from the wanted time, late start and all, so that a service that stalls cannot
 * hide the requests that it kept from being sent (coordinated omission).
 *
 * What is measured is the requests that were wanted in the measured time: between the end of the
 * warm-up and the end of the duration. Their answers and errors count whenever they come, so that
 * the slow ones are not cut off; rates count only what was done within that time. An answer is
 * there when its frame was read, not when its turn among others came.
 *
 * Time-outs cost no timer a flow: every flow that waits for something is on the list of its state,
 * oldest first, and since all have the same patience one timer watches the heads.
 */
#include "workload/soak.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 64 };
#define LEAVE_NS (5 * NS_PER_MS)

static void close_some(struct soak *soak);
static void next_request(struct soak_flow *flow);

static struct soak_flow *soak_flow_of(struct flow *flow)
{
    return (struct soak_flow *)(void *)flow;
}

uint64_t soak_now(const struct soak *soak)
{
    return soak->flows->now_ns;
}

void soak_arm(struct soak *soak, struct timer *timer, uint64_t deadline_ns)
{
    (void)timer_arm(soak->flows->timers, timer, deadline_ns);
}

/* ---- states ---- */

static struct list *list_of(struct soak *soak, enum soak_state state)
{
    switch (state) {
    case SOAK_CONNECTING:
        return &soak->connecting;
    case SOAK_READY:
        return &soak->ready;
    case SOAK_BUSY:
        return &soak->busy;
    case SOAK_LEAVING:
        return &soak->leaving;
    case SOAK_ENDING:
        return &soak->ending;
    default:
        return &soak->thinking;
    }
}

static bool waits_for_answers(const struct soak *soak)
{
    return soak_asks(soak) && !soak->patient;
}

static void watch_timeouts(struct soak *soak)
{
    uint64_t next = TIMER_NEVER;
    struct list *const lists[] = {&soak->connecting,
                                  soak->patient ? &soak->connecting : &soak->ending,
                                  waits_for_answers(soak) ? &soak->busy : &soak->connecting};

    if (timer_armed(&soak->sweep))
        return; /* never later than needed: it looks again when it fires */
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (!list_empty(lists[i])) {
            uint64_t at = list_entry(lists[i]->next, struct soak_flow, node)->started_ns +
                          soak->config.timeout_ns;
            next = MIN(next, at);
        }
    }
    if (next != TIMER_NEVER)
        soak_arm(soak, &soak->sweep, next);
}

void soak_set_state(struct soak_flow *flow, enum soak_state state)
{
    struct soak *soak = flow->soak;

    soak->in_state[flow->state]--;
    soak->in_state[state]++;
    list_remove(&flow->node);
    flow->state = (uint8_t)state;
    flow->started_ns = soak_now(soak);
    if (state == SOAK_CLOSED)
        return;
    list_add_tail(list_of(soak, state), &flow->node);
    if (state != SOAK_READY && state != SOAK_THINKING && state != SOAK_LEAVING)
        watch_timeouts(soak);
}

/* Takes the flow off the books; its memory follows when the stack is done with it. */
void soak_let_go(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    soak_set_state(flow, SOAK_CLOSED);
    soak->open--;
    if (soak->ops->let_go)
        soak->ops->let_go(flow);
    flow_free(&flow->flow);
    if (flow->flow.orphan)
        list_add_tail(&soak->closing, &flow->node); /* until its end has crossed */
    else
        soak->measure.counts.closed++;
}

static void close_in_order(struct soak_flow *flow)
{
    /* An upload that ended with its answer: nobody takes the rest, so no FIN can follow it. */
    bool cut = flow->state == SOAK_LEAVING && flow_unacked(&flow->flow) > 0;

    if (!flow->soak->config.close_with_reset && !flow_is_udp(&flow->flow) && !cut)
        flow_close(&flow->flow);
    soak_let_go(flow); /* what is still open is reset */
}

static void close_measure(struct soak *soak)
{
    if (!soak->measure.closed && soak->measured)
        soak->measured(soak->measured_user, false);
    measure_close(&soak->measure, soak_now(soak), soak->open);
}

static void maybe_over(struct soak *soak)
{
    soak->stopping |= schedule_exhausted(&soak->schedule) && soak->open == 0;
    if (!soak->stopping || soak->over || soak->open > 0 || !soak_shares_end(soak) || soak->over)
        return;
    soak->over = true;
    struct timer *const timers[] = {&soak->due,   &soak->opening, &soak->sweep,    &soak->think,
                                    &soak->leave, &soak->nudge,  &soak->interval, &soak->warm,
                                    &soak->end,   &soak->flood};
    close_measure(soak);
    measure_end(&soak->measure, soak_now(soak), soak->open);
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
        timer_cancel(soak->flows->timers, timers[i]);
    if (soak->parent)
        maybe_over(soak->parent);
}

bool soak_exhausted(const struct soak *soak)
{
    return soak->stopping || schedule_exhausted(&soak->schedule);
}

/* Something ended: is it the end of all, or is there room for another? */
void soak_after_end(struct soak *soak)
{
    if (soak_exhausted(soak) && soak_asks(soak) && !soak->stopping)
        close_some(soak); /* those that are ready wait for nothing */
    soak_idle_check(soak);
    maybe_over(soak);
    if (!soak->over)
        soak_open_more(soak);
}

static void end_flow(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    close_in_order(flow);
    soak_after_end(soak);
}

/* ---- errors ---- */

void soak_fail(struct soak_flow *flow, enum soak_error kind, const char *format, ...)
{
    struct soak *soak = flow->soak;
    bool connecting = flow->state == SOAK_CONNECTING;
    va_list arguments;

    if (flow->state == SOAK_CLOSED)
        return;
    if (connecting)
        soak_take_lost(flow);
    va_start(arguments, format);
    soak_error_args(flow, kind, format, arguments);
    va_end(arguments);
    if (connecting || soak_holds(soak))
        soak_back_off(flow);
    soak_let_go(flow);
    soak_after_end(soak);
}

void soak_lose(struct soak_flow *flow, enum soak_error kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    soak_error_args(flow, kind, format, arguments);
    va_end(arguments);
    next_request(flow);
}

/* ---- requests ---- */

uint64_t soak_behind(const struct soak *soak)
{
    return schedule_behind(&soak->schedule, soak_now(soak));
}

static void start_request(struct soak_flow *flow, uint64_t wanted_ns)
{
    struct soak *soak = flow->soak;

    soak_set_state(flow, SOAK_BUSY);
    flow->intended_ns = wanted_ns;
    flow->first_byte = false;
    flow->out_at = 0;
    flow->requests++;
    soak->measure.counts.requests += soak_counts(flow);
    flow->last = soak->config.requests_per_connection &&
                 flow->requests >= soak->config.requests_per_connection;
    uint32_t number = flow->requests;
    soak->flows->sent_ns = 0;
    soak->ops->request(flow);
    /* Closed: it is wanted when it leaves, and others left before it while its turn came. One that
       was taken in the warm-up stays there. */
    if (soak->schedule.rate <= 0 && soak->flows->sent_ns && flow->state == SOAK_BUSY &&
        flow->requests == number && !timer_armed(&soak->warm))
        flow->intended_ns = soak->flows->sent_ns;
}

/* Hands out what is due to flows that are ready; sets the timer when some are left over. */
static void serve_due(struct soak *soak)
{
    while (!list_empty(&soak->ready) && !soak_exhausted(soak) && soak_behind(soak) > 0) {
        struct soak_flow *flow = list_entry(soak->ready.next, struct soak_flow, node);
        start_request(flow, soak_take(soak));
    }
    uint64_t next_ns = schedule_next_ns(&soak->schedule, soak_now(soak));
    if (!list_empty(&soak->ready) && !soak_exhausted(soak) && next_ns != TIMER_NEVER)
        soak_arm(soak, &soak->due, next_ns);
}

static void ask(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (soak->schedule.rate <= 0) {
        start_request(flow, soak_take(soak));
    } else {
        soak_set_state(flow, SOAK_READY);
        serve_due(soak);
    }
}

static void next_request(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (soak->parent && soak_share_parks(flow)) {
        soak_set_state(flow, SOAK_ENDING);
        return;
    }
    if (soak->schedule.by_opening && !flow->requests) {
        start_request(flow, flow->intended_ns); /* taken when it was opened */
    } else if (flow->last && flow->remote_closes && flow->flow.state == FLOW_OPEN &&
               !soak->config.close_with_reset) {
        soak_set_state(flow, SOAK_LEAVING); /* if its FIN is first, TIME-WAIT is not ours */
        if (!timer_armed(&soak->leave))
            soak_arm(soak, &soak->leave, soak_now(soak) + LEAVE_NS);
    } else if (soak_exhausted(soak) || flow->last || flow->flow.state > FLOW_OPEN) {
        end_flow(flow); /* a FIN that came with the answer is no surprise to the next request */
    } else if (soak->config.think_ns && flow->requests) {
        soak_set_state(flow, SOAK_THINKING);
        if (!timer_armed(&soak->think))
            soak_arm(soak, &soak->think, soak_now(soak) + soak->config.think_ns);
    } else {
        ask(flow);
    }
}

void soak_complete(struct soak_flow *flow)
{
    soak_done(flow, flow->first_byte ? flow_arrived_last_ns(&flow->flow) : soak_now(flow->soak));
    next_request(flow);
}

/* ---- events ---- */

void soak_connected(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (!soak_holds(soak)) /* those must be held to count */
        soak->failures = 0;
    bool measured = flow->flow.opened_ns >= soak->measure.start_ns;
    soak->measure.counts.established += measured;
    if (measured && !flow_is_udp(&flow->flow))
        measure_latency(&soak->measure, PEER_HISTOGRAM_HANDSHAKE,
                        (uint64_t)flow->flow.handshake_us * NS_PER_US);
    if (flow->again) {
        soak->ops->request(flow);
        return;
    }
    soak_set_state(flow, SOAK_READY);
    next_request(flow);
    if (soak_holds(soak))
        soak_idle_connected(soak);
}

static void on_end(struct soak_flow *flow)
{
    static const struct {
        enum soak_error kind;
        const char *text;
    } errors[] = {
        [PEER_END_NONE] = {SOAK_CLOSED_EARLY, "the connection ended"},
        [PEER_END_CLOSED] = {SOAK_CLOSED_EARLY, NULL},
        [PEER_END_REFUSED] = {SOAK_REFUSED, "connection refused"},
        [PEER_END_RESET] = {SOAK_RESET, "connection reset"},
        [PEER_END_TIMEOUT] = {SOAK_TIMEOUT, "timed out"},
        [PEER_END_UNREACHABLE] = {SOAK_REFUSED, NULL},
        [PEER_END_LOCAL] = {SOAK_CLOSED_EARLY, "reset by this peer"},
    };
    enum peer_end end = flow_end(&flow->flow);

    if (flow->state == SOAK_CLOSED)
        return;
    if (flow->state == SOAK_BUSY && end == PEER_END_RESET && flow->soak->ops->reset &&
        flow->soak->ops->reset(flow))
        return;
    bool meant = end == PEER_END_LOCAL && flow->soak->parent; /* that is its manner */
    if (!meant && (flow->state == SOAK_CONNECTING || flow->state == SOAK_BUSY)) {
        soak_fail(flow, errors[end].kind, "%s",
                  errors[end].text ? errors[end].text : soak_closed_text(flow));
    } else {
        soak_let_go(flow);
        soak_after_end(flow->soak);
    }
}

static void on_eof(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (soak->parent && soak_share_parks(flow))
        return;
    if (flow->state == SOAK_BUSY && soak->ops->eof) {
        soak->ops->eof(flow);
    } else if (flow->state == SOAK_BUSY) {
        soak_fail(flow, SOAK_CLOSED_EARLY, "%s", soak_closed_text(flow));
    } else if (flow->state != SOAK_CLOSED) { /* the application closes an idle connection */
        end_flow(flow);
    }
}

static void soak_event(struct flow *base, unsigned events)
{
    struct soak_flow *flow = soak_flow_of(base);
    const struct protocol_ops *ops = flow->soak->ops;

    if (flow->soak->parent)
        soak_share_note(flow, events);
    if (events & FLOW_CONNECTED) {
        soak_connected(flow);
        if (!flow->soak->over)
            soak_open_more(flow->soak);
    }
    if (events & FLOW_READABLE && flow->state != SOAK_CLOSED)
        ops->readable(flow);
    if (events & FLOW_WRITABLE && flow->state == SOAK_BUSY && ops->writable)
        ops->writable(flow);
    if (events & FLOW_UNREACHABLE && flow->state == SOAK_BUSY)
        soak_lose(flow, SOAK_REFUSED, "%s", soak_unreachable_text(flow));
    if (events & FLOW_EOF && flow->state != SOAK_CLOSED)
        on_eof(flow);
    if (events & FLOW_END)
        on_end(flow);
}

static void soak_release(struct flow *base)
{
    struct soak_flow *flow = soak_flow_of(base);

    list_remove(&flow->node);
    if (base->orphan && flow->soak)
        flow->soak->measure.counts.closed++;
    arena_put(flow);
}

const struct flow_ops soak_flow_ops = {.event = soak_event, .release = soak_release};

/* ---- timers ---- */

static void due_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, due);

    (void)now_ns;
    if (soak_holds(soak))
        soak_touch_some(soak);
    else
        serve_due(soak);
}

static void opening_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, opening);

    (void)now_ns;
    if (soak->stopping || (soak_exhausted(soak) && soak_asks(soak)))
        close_some(soak);
    else
        soak_open_more(soak);
}

static void expire(struct soak *soak, struct list *list, uint64_t now_ns)
{
    while (!list_empty(list)) {
        struct soak_flow *flow = list_entry(list->next, struct soak_flow, node);
        if (flow->started_ns + soak->config.timeout_ns > now_ns)
            return;
        if (soak->config.udp)
            soak_lose(flow, SOAK_TIMEOUT, "no answer in time");
        else
            soak_fail(flow, SOAK_TIMEOUT, "%s", soak_timeout_text(flow));
    }
}

static void sweep_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, sweep);

    expire(soak, &soak->connecting, now_ns);
    if (waits_for_answers(soak))
        expire(soak, &soak->busy, now_ns);
    while (!soak->patient && !list_empty(&soak->ending)) { /* no error: the answer was complete */
        struct soak_flow *flow = list_entry(soak->ending.next, struct soak_flow, node);
        if (flow->started_ns + soak->config.timeout_ns > now_ns)
            break;
        soak->ends_given_up++;
        end_flow(flow);
    }
    if (!soak->over)
        watch_timeouts(soak);
}

static void think_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, think);

    while (!list_empty(&soak->thinking)) {
        struct soak_flow *flow = list_entry(soak->thinking.next, struct soak_flow, node);
        uint64_t at = flow->started_ns + soak->config.think_ns;
        if (at > now_ns) {
            soak_arm(soak, &soak->think, at);
            return;
        }
        if (soak_exhausted(soak)) {
            end_flow(flow);
        } else {
            ask(flow);
        }
    }
}

static void leave_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, leave);

    while (!list_empty(&soak->leaving)) {
        struct soak_flow *flow = list_entry(soak->leaving.next, struct soak_flow, node);
        if (flow->started_ns + LEAVE_NS > now_ns) {
            soak_arm(soak, timer, flow->started_ns + LEAVE_NS);
            return;
        }
        end_flow(flow);
    }
}

static void nudge_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, nudge);

    soak->ops->nudge(soak, now_ns);
}

void soak_nudge_at(struct soak *soak, uint64_t at_ns)
{
    if (!timer_armed(&soak->nudge) || at_ns < soak->nudge.deadline_ns)
        soak_arm(soak, &soak->nudge, at_ns);
}

static void interval_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, interval);

    measure_interval(&soak->measure, now_ns, soak->open);
    soak_arm(soak, timer, soak->measure.interval_start_ns + soak->config.interval_ns);
}

static void warm_fire(struct timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    soak_begin_measuring(list_entry(timer, struct soak, warm));
}

/* Gives up to `most` flows of a state up; returns how many that were. */
static int cut(struct soak *soak, enum soak_state state, int most)
{
    struct list *list = list_of(soak, state);
    int count = 0;

    while (count < most && !list_empty(list)) {
        struct soak_flow *flow = list_entry(list->next, struct soak_flow, node);
        if (state == SOAK_CONNECTING)
            soak_let_go(flow);
        else
            close_in_order(flow);
        count++;
    }
    return count;
}

/* What is not waiting for an answer is closed, AT_ONCE in a round: the local kernel answers each
   FIN, and its answers must be read before the device's queue is full. */
static void close_some(struct soak *soak)
{
    static const enum soak_state states[] = {SOAK_READY,  SOAK_THINKING,   SOAK_LEAVING,
                                             SOAK_ENDING, SOAK_CONNECTING, SOAK_BUSY};
    bool answers = soak_asks(soak) && !soak->hurry;
    int left = AT_ONCE;

    for (size_t i = 0; i < ARRAY_SIZE(states) && left > 0; i++) {
        bool asks =
            states[i] == SOAK_BUSY || (states[i] == SOAK_CONNECTING && soak->schedule.by_opening);
        if (!(asks && answers))
            left -= cut(soak, states[i], left);
    }
    if (left == 0)
        soak_arm(soak, &soak->opening, soak_now(soak) + 1);
    maybe_over(soak);
}

static void end_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, end);

    (void)now_ns;
    if (!soak->stopping) {
        serve_due(soak); /* what was wanted until now */
        soak_stop(soak, soak->config.timeout_ns);
        return;
    }
    soak->hurry = true;
    close_some(soak);
}

void soak_stop(struct soak *soak, uint64_t grace_ns)
{
    if (!soak->stopping) {
        soak->behind = soak_behind(soak);
        close_measure(soak);
        timer_cancel(soak->flows->timers, &soak->interval);
        timer_cancel(soak->flows->timers, &soak->warm);
    }
    soak->stopping = true;
    soak->hurry |= grace_ns == 0;
    if (grace_ns)
        soak_arm(soak, &soak->end, soak_now(soak) + grace_ns);
    close_some(soak);
    (void)soak_shares_end(soak);
}

/* ---- birth and death ---- */

void soak_init(struct soak *soak)
{
    timer_init(&soak->due, due_fire);
    timer_init(&soak->opening, opening_fire);
    timer_init(&soak->sweep, sweep_fire);
    timer_init(&soak->think, think_fire);
    timer_init(&soak->leave, leave_fire);
    timer_init(&soak->nudge, nudge_fire);
    timer_init(&soak->interval, interval_fire);
    timer_init(&soak->warm, warm_fire);
    timer_init(&soak->end, end_fire);
}

void soak_begin(struct soak *soak)
{
    soak_plan(soak);
    if (soak->config.warmup_ns)
        soak_arm(soak, &soak->warm, soak->schedule.warm_ns);
    if (!soak->parent)
        soak_arm(soak, &soak->interval, soak->start_ns + soak->config.interval_ns);
    if (soak->config.duration_ns)
        soak_arm(soak, &soak->end, soak->schedule.end_ns);
    soak_open_more(soak);
}

/* Flows that are closing may still send from the memory that is freed with the run. */
static void drop_senders(const struct soak *soak)
{
    struct list *node = soak->flows->all.next;

    while (node != &soak->flows->all) {
        struct flow *base = list_entry(node, struct flow, node);
        struct soak_flow *flow = soak_flow_of(base);
        node = node->next;
        if (base->ops->event != soak_event || !base->orphan || !flow->soak ||
            (flow->soak != soak && flow->soak->parent != soak))
            continue;
        flow->soak = NULL;
        if (flow_unacked(base))
            flow_reset(base);
    }
}

struct soak *soak_free(struct soak *soak)
{
    if (!soak)
        return NULL;
    if (!soak->parent)
        drop_senders(soak);
    soak_shares_free(soak);
    soak->stopping = true;
    soak->config.close_with_reset = true;
    for (int state = SOAK_CONNECTING; state < SOAK_CLOSED; state++)
        cut(soak, (enum soak_state)state, INT_MAX);
    maybe_over(soak);
    for (struct list *node; (node = list_pop(&soak->closing));)
        list_entry(node, struct soak_flow, node)->soak = NULL; /* they end by themselves */
    measure_done(&soak->measure);
    if (!soak->parent) {
        if (soak->protocol->done && soak->own)
            soak->protocol->done(soak);
        free(soak->own);
        free(soak->scratch);
    }
    free(soak);
    return NULL;
}
