/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The badly behaved among the flows of a soak.
 *
 * Each manner's share is a run of its own beside the healthy one: the same workload with the same
 * peers, its own flows, schedule, counts and latencies, started and stopped with the healthy run.
 * So what the healthy ones see is measured by itself, a share stays as large as it is whatever ends
 * its flows, and the healthy run does not know of any of this.
 *
 * -c is for all together, in exact shares. So is a rate of connections; a rate of requests is the
 * healthy flows' alone, and the others ask as often, each for itself, on top of it.
 */
#include "workload/soak.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FLOOD_AT_ONCE = 256, FLOOD_PORTS = 1023 };

/* ---- birth ---- */

/* How many of the flows have a manner: `sum` is the share of those before it, with its own. */
static uint64_t upto(const struct soak *soak, double sum)
{
    return (uint64_t)(sum * (double)soak->config.flows + 0.5);
}

static void share_config(const struct soak *soak, const struct manner_spec *spec, uint64_t flows,
                         uint64_t healthy, struct peer_soak_config *config)
{
    double part = (double)flows / (double)soak->config.flows;

    *config = soak->config;
    config->manners = NULL;
    config->flows = spec->manner->begin ? flows : 0;
    config->total = config->duration_ns = config->touch = 0;
    config->rate *= healthy ? (double)flows / (double)healthy : part;
    config->connect_rate *= part;
}

static struct soak *share_new(struct soak *parent, const struct manner_spec *spec, uint64_t flows,
                              uint64_t healthy)
{
    struct peer_soak_config config;

    share_config(parent, spec, flows, healthy, &config);
    struct soak *soak = soak_new_share(&config, parent);
    if (!soak)
        return NULL;
    soak->manner = *spec;
    soak->patient = spec->manner->patient;
    soak->parks = spec->manner->caller;
    return soak;
}

static int make_shares(struct soak *soak, const struct manner_spec *specs, int count,
                       struct peer_error *error)
{
    uint64_t flows[MANNERS_MAX], bad = 0;
    double sum = 0;

    for (int i = 0; i < count; i++) {
        flows[i] = upto(soak, sum + specs[i].share) - upto(soak, sum);
        sum += specs[i].share;
        if (specs[i].manner->begin)
            flows[i] = MAX(flows[i], 1u);
        bad += flows[i];
    }
    if (bad > soak->config.flows || (bad == soak->config.flows && sum < 1 - 1e-9))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%llu flows (-c) are too few for these shares of them",
                         (unsigned long long)soak->config.flows);
    uint64_t healthy = soak->config.flows - bad;
    for (int i = 0; i < count; i++) {
        soak->shares[i] = share_new(soak, &specs[i], flows[i], healthy);
        if (!soak->shares[i])
            return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
        soak->share_count++;
    }
    soak->config.flows = healthy;
    soak->config.connect_rate *= (double)healthy / (double)(healthy + bad);
    if (!healthy && !soak->config.duration_ns) /* nobody counts the requests */
        soak->config.duration_ns = 10 * NS_PER_S;
    return 0;
}

int soak_shares_new(struct soak *soak, struct peer_error *error)
{
    const struct manner_context context = {
        .udp = soak->config.udp, .shares = true, .peers = soak->peers->count};
    struct manner_spec specs[MANNERS_MAX];
    int count = manners_parse(soak->config.manners, &context, specs, error);

    soak->config.manners = NULL; /* the caller's string */
    if (count <= 0)
        return count;
    soak->shares = calloc((size_t)count, sizeof(*soak->shares));
    if (!soak->shares)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return make_shares(soak, specs, count, error);
}

/* ---- a flood: no flows at all ---- */

static void flood_some(struct soak *soak)
{
    struct stack_tuple tuple = {.remote = soak->config.to, .remote_port = soak->config.to_port};
    uint64_t peers = soak->peers->count;

    for (int i = 0; i < FLOOD_AT_ONCE && soak->flood_sent < soak->flood_due; i++) {
        uint64_t k = soak->flood_sent++;
        tuple.local = addr_set_at(soak->peers, k % peers);
        tuple.local_port = (uint16_t)(1 + k / peers % FLOOD_PORTS);
        if (flows_syn(soak->flows, &tuple) == 0)
            soak->measure.counts.opened++;
    }
}

/* What could not be sent in time is not sent later: the rate is a bound. */
static void flood_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, flood);
    double rate = (double)soak->manner.value;

    if (soak->stopping)
        return;
    soak->flood_due = (uint64_t)((double)(now_ns - soak->start_ns) / 1e9 * rate) + 1;
    flood_some(soak);
    soak->flood_sent = soak->flood_due;
    uint64_t gap_ns = (uint64_t)(1e9 / rate);
    (void)timer_arm(soak->flows->timers, timer, now_ns + MAX(gap_ns, NS_PER_MS));
}

void soak_shares_begin(struct soak *soak)
{
    for (size_t i = 0; i < soak->share_count; i++) {
        struct soak *share = soak->shares[i];
        timer_init(&share->flood, flood_fire);
        if (!share->manner.manner->begin)
            (void)timer_arm(share->flows->timers, &share->flood, soak_now(share));
        soak_begin(share);
    }
}

/* ---- a flow ---- */

int soak_share_dress(struct soak_flow *flow)
{
    return manner_start(&flow->flow, &flow->soak->manner, &flow->soak->begun);
}

bool soak_share_parks(struct soak_flow *flow)
{
    if (flow->flow.state == FLOW_LOCAL_DONE) /* its FIN is out: it cannot ask again */
        flow->last = true;
    return flow_watch(&flow->flow) && flow_watch(&flow->flow)->holds && !flow->soak->stopping;
}

/* How the application ends it: by what it does first. */
void soak_share_note(struct soak_flow *flow, unsigned events)
{
    struct soak *soak = flow->soak;

    if (flow->ended)
        return;
    flow->ended = events & (FLOW_EOF | FLOW_END);
    if (events & FLOW_END && flow_end(&flow->flow) == PEER_END_RESET)
        soak->ends_reset++;
    else if (events & FLOW_EOF)
        soak->ends_closed++;
}

/* ---- the end ---- */

bool soak_shares_end(struct soak *soak)
{
    bool over = true;

    for (size_t i = 0; i < soak->share_count; i++) {
        if (!soak->shares[i]->stopping)
            soak_stop(soak->shares[i], 0);
    }
    for (size_t i = 0; i < soak->share_count; i++)
        over &= soak->shares[i]->over;
    return over;
}

void soak_shares_free(struct soak *soak)
{
    while (soak->share_count > 0) {
        struct soak *share = soak->shares[--soak->share_count];
        timer_cancel(share->flows->timers, &share->flood);
        soak_free(share);
    }
    free(soak->shares);
    soak->shares = NULL;
}
