/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what was asked for to runs that begin: what goes together, what is meant by what was left
 * out, what is made before the first connection.
 */
#include "soak/soak.h"

#include "base/error.h"
#include "base/macro.h"
#include "flow/proxy_header.h"
#include "soak/pattern.h"
#include "soak/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct protocol_ops *soak_ops(const struct peer_soak_config *config,
                                    const struct protocol *protocol)
{
    if (config->hold)
        return config->udp ? NULL : protocol->held;
    return config->udp ? protocol->udp : protocol->tcp;
}

static int refuse(struct peer_error *error, const char *text)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", text);
}

/* What a protocol has no use for is refused. */
static int check_takes(const struct peer_soak_config *config, const struct protocol *protocol,
                       struct peer_error *error)
{
    const struct {
        bool given;
        unsigned takes;
        const char *what;
    } rows[] = {
        {config->expect, PROTOCOL_TAKES_EXPECT, "statuses to expect"},
        {config->user || config->password, PROTOCOL_TAKES_LOGIN, "login"},
        {config->pipeline, PROTOCOL_TAKES_PIPELINE, "pipelining"},
        {config->queries || config->edns_bytes || config->dnssec, PROTOCOL_TAKES_QUERIES,
         "queries of DNS"},
        {config->text, PROTOCOL_TAKES_TEXT, "messages of text"},
        {config->fragments || config->ping_ns, PROTOCOL_TAKES_FRAMES, "fragments and pings"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].given && !(protocol->takes & rows[i].takes))
            return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" has no %s", protocol->name,
                             rows[i].what);
    }
    if (config->pipeline > UINT16_MAX)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a pipeline has at most %d requests",
                         UINT16_MAX);
    if (config->fragments > PEER_FRAGMENTS_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a message has at most %d fragments",
                         PEER_FRAGMENTS_MOST);
    return 0;
}

/* Of a protocol whose other functions have them, TLS has to agree on those. */
static bool has_streams(const struct protocol *protocol, const void *tls)
{
    return protocol->takes & PROTOCOL_TAKES_STREAMS && (tls || !protocol->other);
}

static int check(const struct peer_soak_config *config, const struct protocol *protocol,
                 const struct addr_set *peers, struct peer_error *error)
{
    const struct protocol_ops *ops = soak_ops(config, protocol);

    if (config->hold && !protocol->held)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" has no connections that are held: \"idle\" has", protocol->name);
    if (!ops)
        return refuse(error, config->udp ? "this workload needs TCP" : "this workload needs UDP");
    if (config->to.family != peers->family)
        return refuse(error, "the peers and the target are of different families");
    if (config->proxy_protocol > PROXY_HEADER_BINARY)
        return refuse(error, "the PROXY protocol has versions 1 and 2");
    if (config->http_version > 2)
        return refuse(error, "the versions of HTTP are 1 and 2");
    if (config->http_version && (!config->tls || !protocol->other))
        return refuse(error, "versions of HTTP are agreed on over TLS");
    if (config->tls && config->udp)
        return refuse(error, "TLS is for TCP alone");
    if (config->proxy_protocol && config->udp)
        return refuse(error, "a PROXY header begins a connection, and UDP has none");
    if (config->rate < 0 || config->connect_rate < 0)
        return refuse(error, "a rate cannot be negative");
    if (config->poisson && config->rate <= 0)
        return refuse(error, "arrivals at random need a rate of requests (-R)");
    if (config->rate > 0 && ops->kind != PROTOCOL_ASKS)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a rate of requests needs a workload of requests, and \"%s\" has none",
                         protocol->name);
    if (ops->needs_rate && config->rate <= 0)
        return refuse(error, "sending UDP needs a rate (-R): nothing else would slow it down");
    if (config->streams > 1 && !has_streams(protocol, config->tls))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" has one request at a time on a connection", protocol->name);
    const size_t most = flow_datagram_max(config->to.family);
    if (config->udp && config->message_bytes > most)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a datagram has at most %zu bytes%s", most,
                         config->to.family == 6 ? " over IPv6" : "");
    if (config->flows > peers->count * PEER_PORTS)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "more flows than the peers have ports (%d each): give more addresses "
                         "with `from`",
                         PEER_PORTS);
    return check_takes(config, protocol, error);
}

static void fill_defaults(struct peer_soak_config *config, enum protocol_kind kind)
{
    if (!config->flows)
        config->flows = 1;
    if (!config->duration_ns && (!config->total || kind != PROTOCOL_ASKS))
        config->duration_ns = 10 * NS_PER_S;
    if (!config->timeout_ns)
        config->timeout_ns = config->udp ? NS_PER_S : 10 * NS_PER_S;
    if (!config->interval_ns)
        config->interval_ns = NS_PER_S;
    if (!config->message_bytes)
        config->message_bytes = 64;
    if (!config->pipeline)
        config->pipeline = 1;
}

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
}

static int read_think(struct soak *soak, struct peer_error *error)
{
    const char *text = soak->config.think;

    soak->config.think = NULL; /* the caller's string */
    if (text && soak->config.think_ns)
        return refuse(error, "a pause is given as a time or in words, not both");
    return text ? pause_parse(text, &soak->pause, error) : 0;
}

static int offer(struct soak *soak, struct peer_error *error)
{
    const struct protocol *protocol = soak->protocol;
    const char *alpn = protocol->offers ? protocol->offers(soak->own) : protocol->alpn;

    if (soak->tls && !tls_context_has_alpn(soak->tls) && tls_context_set_alpn(soak->tls, alpn) < 0)
        return out_of_memory(error);
    return 0;
}

static int prepare(struct soak *soak, struct peer_error *error)
{
    const struct protocol *protocol = soak->protocol;

    soak->scratch = malloc(SOAK_SCRATCH_BYTES);
    soak->own = calloc(1, MAX(protocol->run_bytes, 1u));
    if (!soak->scratch || !soak->own)
        return out_of_memory(error);
    pattern_fill(soak->seed, 0, soak->scratch, SOAK_SCRATCH_BYTES);
    if ((soak->config.follow || soak->config.cookies) &&
        !(protocol->takes & PROTOCOL_TAKES_FOLLOW))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" follows no redirects and keeps no cookies", protocol->name);
    if (soak->config.targets && !(protocol->takes & PROTOCOL_TAKES_TARGETS))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" takes no list of targets",
                         protocol->name);
    int status = read_think(soak, error);
    if (status == 0 && protocol->prepare)
        status = protocol->prepare(soak->own, &soak->config, error);
    if (status == 0)
        status = offer(soak, error);
    if (status == 0 && protocol->count_targets)
        soak->targets = (uint32_t)protocol->count_targets(soak->own);
    rng_derive(&soak->target_order, soak->seed, RNG_TARGETS);
    return status;
}

int soak_read_manners(const struct soak *soak, const char *manners,
                      struct manner_spec ret_specs[MANNERS_MAX], struct peer_error *error)
{
    const struct manner_context context = {
        .udp = soak->config.udp, .shares = true, .peers = soak->peers->count};
    int count = manners_parse(manners, &context, ret_specs, error);

    for (int i = 0; i < count; i++) {
        if (ret_specs[i].manner->http2 && !has_streams(soak->protocol, soak->tls))
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%s\" is a manner of HTTP/2, which \"%s\" does not speak",
                             ret_specs[i].manner->name, soak->protocol->name);
    }
    return count;
}

static int make_runs(struct soak *soak, struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];
    struct peer_soak_config healthy;

    int status = soak_read_manners(soak, soak->config.manners, specs, error);
    soak->config.manners = NULL; /* the caller's string */
    if (status >= 0)
        status = shares_new(soak, specs, status, &healthy, error);
    if (status < 0)
        return status;
    soak->runs[0] = run_new(soak, &healthy, NULL);
    soak->run_count = MAX(soak->run_count, 1u);
    if (!soak->runs[0] || figures_list(&soak->runs[0]->measure.found, soak->targets) < 0)
        return out_of_memory(error);
    return 0;
}

static void begin(struct soak *soak)
{
    run_begin(soak_healthy(soak));
    for (size_t i = 1; i < soak->run_count; i++)
        share_begin(soak->runs[i]);
}

int soak_start(const struct peer_soak_config *config, const struct protocol *protocol,
               const struct soak_host *host, struct soak **ret_soak, struct peer_error *error)
{
    int status = check(config, protocol, host->peers, error);
    if (status < 0)
        return status;
    struct soak *soak = calloc(1, sizeof(*soak));
    if (!soak)
        return out_of_memory(error);
    soak->config = *config;
    soak->protocol = protocol;
    fill_defaults(&soak->config, soak_ops(config, protocol)->kind);
    soak->flows = host->flows;
    soak->peers = host->peers;
    soak->seed = host->seed;
    soak->begin_ns = host->begin_ns;
    soak->phase = host->phase;
    soak->worker = host->worker;
    soak->workers = MAX(host->workers, UINT64_C(1));
    soak->all_flows = host->workers ? host->all_flows : soak->config.flows;
    soak->part = host->parts ? 1 / (double)host->parts : 1;
    soak->measured = host->measured;
    soak->measured_user = host->user;
    soak->tls = host->tls ? tls_context_hold(host->tls) : NULL;
    soak->request_bytes = soak->tls || !protocol->other ? protocol->request_bytes : 0;
    status = prepare(soak, error);
    if (status == 0)
        status = make_runs(soak, error);
    if (status < 0) {
        soak_free(soak);
        return status;
    }
    begin(soak);
    *ret_soak = soak;
    return 0;
}

void soak_stop(struct soak *soak, uint64_t grace_ns)
{
    run_stop(soak_healthy(soak), grace_ns);
}

bool soak_is_over(const struct soak *soak)
{
    return soak_healthy(soak)->over;
}

bool soak_is_measured(const struct soak *soak)
{
    return soak_healthy(soak)->measure.closed;
}

const struct peer_soak_counts *soak_counts(const struct soak *soak, uint64_t *ret_open)
{
    *ret_open = soak_healthy(soak)->open;
    return &soak_healthy(soak)->measure.found.counts;
}

int soak_pop_interval(struct soak *soak, struct result_interval *ret_interval)
{
    return measure_pop_interval(&soak_healthy(soak)->measure, ret_interval);
}

static int get_share(const struct run *run, struct result *result)
{
    struct result_share *share = result_new_share(result);

    if (!share)
        return -ENOMEM;
    snprintf(share->name, sizeof(share->name), "%s", run->manner.manner->name);
    snprintf(share->spec, sizeof(share->spec), "%s", run->manner.text);
    share->share = run->manner.share;
    share->flows = run->config.flows;
    share->open = run->open;
    share->begun = run->begun;
    share->closed = run->ends_closed;
    share->reset = run->ends_reset;
    share->given_up = run->ends_given_up + run->measure.found.counts.timeout;
    return figures_add(&share->found, &run->measure.found);
}

static int name_targets(const struct soak *soak, struct figures *found)
{
    char name[512];

    for (size_t i = 0; i < soak->targets; i++) {
        soak->protocol->name_target(soak->own, i, name, sizeof(name));
        found->targets[i].name = strdup(name);
        if (!found->targets[i].name)
            return -ENOMEM;
    }
    return 0;
}

int soak_get_result(const struct soak *soak, uint64_t now_ns, struct result *ret_result)
{
    const struct run *run = soak_healthy(soak);
    const struct measure *measure = &run->measure;
    int status = figures_add(&ret_result->found, &measure->found);

    if (status == 0)
        status = name_targets(soak, &ret_result->found);

    if (!measure->closed)
        ret_result->found.in_time = measure->found.counts;
    ret_result->duration_ns = (measure->closed ? measure->end_ns : now_ns) - measure->start_ns;
    ret_result->open = run->open;
    ret_result->open_most = run->open_most;
    ret_result->asked_rate = soak_asked_rate(soak, ret_result->duration_ns);
    ret_result->paused_ns = run_paused_ns(run);
    ret_result->behind = run->stopping ? run->behind : run_behind(run);
    for (size_t i = 1; i < soak->run_count && status == 0; i++)
        status = get_share(soak->runs[i], ret_result);
    return status;
}

struct soak *soak_free(struct soak *soak)
{
    if (!soak)
        return NULL;
    clients_cut_senders(soak);
    soak->measured = NULL;
    while (soak->run_count > 1)
        run_free(soak->runs[--soak->run_count]);
    run_free(soak->runs[0]);
    if (soak->protocol->done && soak->own)
        soak->protocol->done(soak->own);
    tls_context_free(soak->tls);
    free(soak->own);
    free(soak->scratch);
    free(soak);
    return NULL;
}
