/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections of a run: how many there should be, and their birth.
 *
 * At most CONNECTING_MAX handshakes are under way at once, less than what accept queues hold,
 * unless a rate asks for more; after a failure openings wait, up to a second, until one succeeds
 * again.
 */
#include "workload/soak.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

enum { CONNECTING_MAX = 256, AT_ONCE = 64 };
#define BACKOFF_FIRST_NS (5 * NS_PER_MS)

/* A while without openings, longer with every round of failures. */
static void pause_openings(struct soak *soak)
{
    uint64_t delay_ns = BACKOFF_FIRST_NS << MIN(soak->failures, 8u);

    if (soak_now(soak) < soak->backoff_until_ns)
        return; /* others of the same round failed too */
    soak->failures++;
    soak->backoff_until_ns = soak_now(soak) + MIN(delay_ns, SOAK_BACKOFF_MOST_NS);
}

/* An idle connection that was held for a while had been taken: what ends it is news. */
void soak_back_off(const struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (flow->state == SOAK_BUSY && soak_now(soak) - flow->started_ns >= SOAK_BACKOFF_MOST_NS)
        soak->failures = 0;
    pause_openings(soak);
}

/* How many connections there is work for. */
static uint64_t wanted(const struct soak *soak)
{
    uint64_t left = schedule_left(&soak->schedule);
    uint64_t taken = soak->schedule.by_opening ? soak->open : soak->in_state[SOAK_BUSY];

    if (soak_exhausted(soak))
        return 0;
    if (left < soak->config.flows) /* those that are busy will not take what is left */
        return MIN(soak->config.flows, left + taken);
    return soak->config.flows;
}

static int open_one(struct soak *soak, struct soak_flow **ret_flow)
{
    struct soak_flow *flow = arena_get_zeroed(sizeof(*flow) + soak->protocol->flow_bytes);
    struct stack_tuple tuple = {.remote = soak->config.to, .remote_port = soak->config.to_port};
    struct soak *whole = soak->parent ? soak->parent : soak;

    if (!flow)
        return -ENOMEM;
    soak_reach(soak, soak_now(soak));
    flow->soak = soak;
    flow->id = whole->next_id++;
    flow->state = SOAK_CLOSED;
    list_init(&flow->node);
    tuple.local = addr_set_at(soak->peers, whole->next_peer);
    flow_init(&flow->flow, soak->flows, &soak_flow_ops);
    int status = soak->parent ? soak_share_dress(flow) : 0;
    if (status == 0)
        status = flow_connect(&flow->flow, soak->config.udp ? IPPROTO_UDP : IPPROTO_TCP, &tuple, 0);
    whole->next_peer = (whole->next_peer + 1) % soak->peers->count;
    if (status < 0) {
        flow_free(&flow->flow);
        return status;
    }
    flow->intended_ns = soak->schedule.by_opening ? soak_take(soak) : soak_now(soak);
    soak->schedule.opened++;
    soak->open++;
    soak->open_most = MAX(soak->open_most, soak->open);
    soak->measure.counts.opened++;
    soak_set_state(flow, soak->parks ? SOAK_ENDING : SOAK_CONNECTING);
    if (soak->config.udp)
        soak_connected(flow);
    *ret_flow = flow;
    return 0;
}

static void opening_failed(struct soak *soak, int status)
{
    if (!soak->cannot_open[0])
        snprintf(soak->cannot_open, sizeof(soak->cannot_open), "cannot open more flows: %s",
                 status == -EADDRINUSE ? "every port of every peer is in use"
                                       : error_text(-status));
    soak->ports_exhausted = true;
    pause_openings(soak);
}

void soak_open_more(struct soak *soak)
{
    uint64_t next_ns, want = wanted(soak);
    uint64_t allowed = schedule_connections(&soak->schedule, soak_now(soak), &next_ns);
    struct soak_flow *flow;
    int batch = 0;

    while (soak->open < want && soak->schedule.opened < allowed && !soak->over) {
        if (soak_now(soak) < soak->backoff_until_ns) {
            next_ns = soak->backoff_until_ns;
            break;
        }
        if (soak->in_state[SOAK_CONNECTING] >= CONNECTING_MAX && soak->config.connect_rate <= 0)
            return; /* the next one that is connected calls again */
        if (batch++ == AT_ONCE) {
            next_ns = soak_now(soak) + 1; /* let the answers in */
            break;
        }
        int status = open_one(soak, &flow);
        if (status < 0) {
            opening_failed(soak, status);
            next_ns = soak->backoff_until_ns;
            break;
        }
        want = wanted(soak);
    }
    if (soak->open < want && next_ns != TIMER_NEVER)
        soak_arm(soak, &soak->opening, MAX(next_ns, soak_now(soak) + 1));
}

/* The other flow is busy from its first SYN on. */
void soak_repeat(struct soak_flow *lost)
{
    struct soak *soak = lost->soak;
    struct soak_flow *flow;

    soak_let_go(lost);
    int status = open_one(soak, &flow);
    if (status < 0) {
        soak->measure.counts.closed_idle += soak_counts(lost);
        opening_failed(soak, status);
    } else {
        soak->measure.counts.asked_again += soak_counts(lost);
        flow->again = true;
        flow->requests = 1;
        flow->intended_ns = lost->intended_ns;
        soak_set_state(flow, SOAK_BUSY);
    }
    soak_after_end(soak);
}
