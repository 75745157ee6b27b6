/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The badly behaved among the clients of a soak.
 *
 * Each manner's share is a run of its own beside the healthy one: the same protocol with the same
 * peers, its own clients, schedule, counts and latencies, started and stopped with the healthy run.
 * So what the healthy ones see is measured by itself, a share stays as large as it is whatever ends
 * its clients, and the healthy run does not know of any of this.
 *
 * -c is for all together, in exact shares. So is a rate of connections; a rate of requests is the
 * healthy clients' alone, and the others ask as often, each for itself, on top of it.
 */
#include "soak/run.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/shard.h"

#include <errno.h>

enum { FLOOD_AT_ONCE = 256, FLOOD_PORTS = 1023 };

/* ---- birth ---- */

/* How many of the clients have a manner: `sum` is the share of those before it, with its own. */
static uint64_t upto(const struct soak *soak, double sum)
{
    return (uint64_t)(sum * (double)soak->all_flows + 0.5);
}

/* This worker's part; the workers take turns in having one more, so that nobody has all of these. */
static uint64_t own_part(const struct soak *soak, uint64_t flows, int turn)
{
    const uint64_t shard = (soak->worker + (uint64_t)turn) % soak->workers;

    return shard_begin(flows, shard + 1, soak->workers) - shard_begin(flows, shard, soak->workers);
}

static struct run *share_new(struct soak *soak, const struct manner_spec *spec, uint64_t flows,
                             uint64_t healthy)
{
    struct peer_soak_config config = soak->config;
    double part = (double)flows / (double)config.flows;

    config.flows = spec->manner->begin ? flows : 0;
    config.total = config.duration_ns = config.touch = 0;
    config.rate *= healthy ? (double)flows / (double)healthy : part;
    config.connect_rate *= part;
    return run_new(soak, &config, spec);
}

/* How many clients each has; all of them, or -EINVAL with text. */
static int divide(const struct soak *soak, const struct manner_spec *specs, int count,
                  uint64_t flows[MANNERS_MAX], uint64_t *ret_bad, struct peer_error *error)
{
    const struct peer_soak_config *whole = &soak->config;
    uint64_t bad = 0;
    double sum = 0;

    for (int i = 0; i < count; i++) {
        flows[i] = upto(soak, sum + specs[i].share) - upto(soak, sum);
        sum += specs[i].share;
        if (specs[i].manner->begin)
            flows[i] = MAX(flows[i], 1u);
        flows[i] = own_part(soak, flows[i], i);
        bad += flows[i];
    }
    if (bad > whole->flows || (bad == whole->flows && sum < 1 - 1e-9))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%llu flows (-c) are too few for these shares of them",
                         (unsigned long long)whole->flows);
    *ret_bad = bad;
    return 0;
}

int shares_new(struct soak *soak, const struct manner_spec *specs, int count,
               struct peer_soak_config *healthy, struct peer_error *error)
{
    uint64_t flows[MANNERS_MAX], bad = 0;

    *healthy = soak->config;
    if (count == 0)
        return 0;
    int status = divide(soak, specs, count, flows, &bad, error);
    if (status < 0)
        return status;
    uint64_t left = soak->config.flows - bad;
    for (int i = 0; i < count; i++) {
        soak->runs[1 + i] = share_new(soak, &specs[i], flows[i], left);
        if (!soak->runs[1 + i])
            return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
        soak->run_count = (size_t)i + 2;
    }
    healthy->flows = left;
    healthy->connect_rate *= (double)left / (double)soak->config.flows;
    if (!left && !healthy->duration_ns) /* nobody counts the requests */
        healthy->duration_ns = 10 * NS_PER_S;
    return 0;
}

/* ---- others on the way ---- */

/* One that waits for nothing, or never would, ends now; another with the answers that it waits for. */
static void end_surplus(struct client *client)
{
    client->surplus = true;
    if (client->under_way && client->run->ops->kind != PROTOCOL_STREAMS)
        client_set_state(client, CLIENT_BUSY);
    else
        client_end(client);
}

/* Those at work, in the order of their lists. */
static void mark_surplus(const struct list *clients, uint64_t *excess)
{
    struct list *node;

    list_each(node, clients)
    {
        if (!*excess)
            return;
        *excess -= !client_of(node)->surplus;
        client_of(node)->surplus = true;
    }
}

/* Healthy clients that are too many. */
static void shrink(struct run *run, uint64_t excess)
{
    static const enum client_state idle[] = {CLIENT_READY, CLIENT_THINKING, CLIENT_HELD, CLIENT_BUSY};
    size_t count = ARRAY_SIZE(idle) - (run->ops->kind != PROTOCOL_STREAMS);

    for (size_t i = 0; i < count; i++) {
        struct list *list = &run->clients[idle[i]];
        for (; excess && !list_empty(list); excess--)
            end_surplus(client_of(list->next));
    }
    mark_surplus(&run->clients[CLIENT_CONNECTING], &excess);
    mark_surplus(&run->clients[CLIENT_GREETING], &excess);
    mark_surplus(&run->clients[CLIENT_BUSY], &excess);
}

/* As many healthy ones as are left. */
static void resize_healthy(struct soak *soak, uint64_t flows)
{
    struct run *run = soak_healthy(soak);

    run->config.flows = flows;
    if (soak->config.connect_rate > 0)
        schedule_set_connect_rate(
            &run->schedule,
            soak->config.connect_rate * (double)flows / (double)soak->config.flows, run_now(run));
    if (run->open > flows)
        shrink(run, run->open - flows);
    if (!run->over)
        run_open_more(run);
}

static int check_change(const struct soak *soak, int count, uint64_t left,
                        struct peer_error *error)
{
    if (soak->run_count + (size_t)count > SOAK_RUNS_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a soak has %d manners at the most, with those that were ended",
                         SOAK_RUNS_MOST - 1);
    if (!left && !soak->config.duration_ns)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "no healthy flows would be left to count the requests");
    return 0;
}

/* How long the warm-up still lasts. */
static uint64_t warmup_left(const struct run *healthy)
{
    uint64_t now_ns = run_now(healthy), warm_ns = healthy->schedule.warm_ns;

    return warm_ns > now_ns ? warm_ns - now_ns : 0;
}

int shares_change(struct soak *soak, const struct manner_spec *specs, int count,
                  struct peer_error *error)
{
    uint64_t flows[MANNERS_MAX], bad = 0;
    struct run *made[MANNERS_MAX];
    int status = divide(soak, specs, count, flows, &bad, error);

    if (status == 0)
        status = check_change(soak, count, soak->config.flows - bad, error);
    for (int i = 0; i < count && status == 0; i++) {
        made[i] = share_new(soak, &specs[i], flows[i], soak->config.flows - bad);
        if (made[i])
            continue;
        while (i > 0)
            run_free(made[--i]);
        status = error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
        break;
    }
    if (status < 0)
        return status;
    (void)shares_end(soak);
    for (int i = 0; i < count; i++) {
        made[i]->config.warmup_ns = warmup_left(soak_healthy(soak));
        made[i]->number = soak->run_count;
        soak->runs[soak->run_count++] = made[i];
    }
    resize_healthy(soak, soak->config.flows - bad);
    for (int i = 0; i < count; i++)
        share_begin(made[i]);
    return 0;
}

/* ---- a flood: no clients at all ---- */

static void flood_some(struct run *run)
{
    struct stack_tuple tuple = {.remote = run->config.to, .remote_port = run->config.to_port};
    uint64_t peers = run->soak->peers->count;

    for (int i = 0; i < FLOOD_AT_ONCE && run->flood_sent < run->flood_due; i++) {
        uint64_t k = run->flood_sent++;
        tuple.local = addr_set_at(run->soak->peers, k % peers);
        tuple.local_port = (uint16_t)(1 + k / peers % FLOOD_PORTS);
        if (flows_syn(run->flows, &tuple) == 0)
            run->measure.found.counts.opened++;
    }
}

/* What could not be sent in time is not sent later: the rate is a bound. */
void share_flood_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, flood);
    double rate = (double)run->manner.value * run->soak->part;

    if (run->stopping)
        return;
    run->flood_due = (uint64_t)((double)(now_ns - run->start_ns) / 1e9 * rate) + 1;
    if (!run_is_paused(run))
        flood_some(run);
    run->flood_sent = run->flood_due;
    uint64_t gap_ns = (uint64_t)(1e9 / rate);
    run_arm(run, timer, now_ns + MAX(gap_ns, NS_PER_MS));
}

void share_begin(struct run *run)
{
    if (!run->manner.manner->begin)
        run_arm(run, &run->flood, run_now(run));
    run_begin(run);
}

/* ---- a client ---- */

int share_dress(struct client *client)
{
    struct run *run = client->run;

    return run_is_healthy(run) ? 0 : manner_start(&client->flow, &run->manner, &run->begun);
}

const char *client_deed(const struct client *client, uint64_t *ret_value)
{
    const struct manner *manner = client->run->manner.manner;
    const struct manner_spec *spec = manner && manner->http2 ? manner_deed(&client->flow) : NULL;

    if (!spec)
        return NULL;
    *ret_value = spec->value;
    return manner->name;
}

bool client_misbehaves(const struct client *client)
{
    return !run_is_healthy(client->run);
}

uint64_t client_silent_ns(const struct client *client)
{
    return client_misbehaves(client) ? manner_silent_ns(&client->flow) : 0;
}

bool client_run_ends(const struct client *client)
{
    return client->run->stopping;
}

struct peer_soak_counts *client_shared_counts(struct client *client, uint64_t at_ns)
{
    struct run *run = soak_healthy(client->run->soak);

    return run_counts(run, at_ns) ? &run->measure.found.counts : NULL;
}

void client_shared_latency(struct client *client, enum peer_soak_histogram which, uint64_t from_ns,
                           uint64_t until_ns)
{
    measure_since(&soak_healthy(client->run->soak)->measure, which, from_ns, until_ns);
}

bool share_parks(struct client *client)
{
    const struct flow_watch *watch;

    if (run_is_healthy(client->run))
        return false;
    if (client->flow.state == FLOW_LOCAL_DONE) /* its FIN is out: it cannot ask again */
        client->last = true;
    watch = flow_watch(&client->flow);
    return watch && watch->holds && !client->run->stopping;
}

/* How the application ends it: by what it does first. */
void share_note(struct client *client, unsigned events)
{
    struct run *run = client->run;

    if (run_is_healthy(run) || client->ended)
        return;
    client->ended = events & (FLOW_EOF | FLOW_END);
    if (events & FLOW_END && flow_end(&client->flow) == PEER_END_RESET)
        run->ends_reset++;
    else if (events & FLOW_EOF || (events & FLOW_END && flow_end(&client->flow) == PEER_END_TLS))
        run->ends_closed++;
}

/* ---- the end ---- */

bool shares_end(struct soak *soak)
{
    bool over = true;

    for (size_t i = 1; i < soak->run_count; i++) {
        if (!soak->runs[i]->stopping)
            run_stop(soak->runs[i], 0);
    }
    for (size_t i = 1; i < soak->run_count; i++)
        over &= soak->runs[i]->over;
    return over;
}
