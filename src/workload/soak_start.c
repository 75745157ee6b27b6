/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what was asked for to a run that begins: what goes together, what is meant by what was left
 * out, what is made before the first connection.
 */
#include "workload/pattern.h"
#include "workload/soak.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct protocol_ops *ops_of(const struct peer_soak_config *config,
                                         const struct protocol *protocol)
{
    return config->udp ? protocol->udp : protocol->tcp;
}

static int refuse(struct peer_error *error, const char *text)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", text);
}

static int check(const struct peer_soak_config *config, const struct protocol *protocol,
                 const struct addr_set *peers, struct peer_error *error)
{
    const struct protocol_ops *ops = ops_of(config, protocol);

    if (!ops)
        return refuse(error, config->udp ? "this workload needs TCP" : "this workload needs UDP");
    if (config->to.family != peers->family)
        return refuse(error, "the peers and the target are of different families");
    if (config->rate < 0 || config->connect_rate < 0)
        return refuse(error, "a rate cannot be negative");
    if (config->rate > 0 && ops->kind != PROTOCOL_ASKS)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a rate of requests needs a workload of requests, and \"%s\" has none",
                         protocol->name);
    if (ops->needs_rate && config->rate <= 0)
        return refuse(error, "sending UDP needs a rate (-R): nothing else would slow it down");
    if (config->expect && !(protocol->takes & PROTOCOL_TAKES_HEADERS))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" has no statuses to expect",
                         protocol->name);
    if (config->udp && config->message_bytes > flow_datagram_max(config->to.family))
        return refuse(error, config->to.family == 6 ? "a datagram has at most 65487 bytes over IPv6"
                                                    : "a datagram has at most 65507 bytes");
    if (config->flows > peers->count * 64512)
        return refuse(error,
                      "more flows than the peers have ports (64512 each): give more addresses "
                      "with --from");
    return 0;
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
}

static int prepare(struct soak *soak, struct peer_error *error)
{
    int status = measure_init(&soak->measure, soak_now(soak));

    soak->scratch = malloc(SOAK_SCRATCH_BYTES);
    soak->own = calloc(1, MAX(soak->protocol->run_bytes, 1u));
    if (status < 0 || !soak->scratch || !soak->own)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    pattern_fill(soak->seed, 0, soak->scratch, SOAK_SCRATCH_BYTES);
    return soak->protocol->prepare ? soak->protocol->prepare(soak, error) : 0;
}

static void init_lists(struct soak *soak)
{
    list_init(&soak->connecting);
    list_init(&soak->ready);
    list_init(&soak->busy);
    list_init(&soak->thinking);
    list_init(&soak->leaving);
    list_init(&soak->ending);
    list_init(&soak->closing);
}

int soak_start(const struct peer_soak_config *config, const struct protocol *protocol,
               struct flows *flows, const struct addr_set *peers, uint64_t seed,
               struct soak **ret_soak, struct peer_error *error)
{
    int status = check(config, protocol, peers, error);
    if (status < 0)
        return status;
    struct soak *soak = calloc(1, sizeof(*soak));
    if (!soak)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    soak->config = *config;
    soak->protocol = protocol;
    soak->ops = ops_of(config, protocol);
    fill_defaults(&soak->config, soak->ops->kind);
    soak->flows = flows;
    soak->peers = peers;
    soak->seed = seed;
    soak->start_ns = soak_now(soak);
    soak_init(soak);
    init_lists(soak);
    status = prepare(soak, error);
    if (status == 0)
        status = soak_shares_new(soak, error);
    if (status < 0) {
        soak_free(soak);
        return status;
    }
    soak_begin(soak);
    soak_shares_begin(soak);
    *ret_soak = soak;
    return 0;
}

void soak_plan(struct soak *soak)
{
    const struct peer_soak_config *config = &soak->config;
    uint64_t warm_ns = soak->start_ns + config->warmup_ns;
    soak->schedule = (struct schedule){
        .rate = config->rate,
        .connect_rate = config->connect_rate,
        .ramp_ns = config->ramp_ns,
        .flows = config->flows,
        .total = config->total,
        .by_opening = config->rate > 0 && config->requests_per_connection == 1,
        .start_ns = soak->start_ns,
        .warm_ns = warm_ns,
        .end_ns = config->duration_ns ? warm_ns + config->duration_ns : UINT64_MAX,
    };
}

struct soak *soak_new_share(const struct peer_soak_config *config, struct soak *parent)
{
    struct soak *soak = calloc(1, sizeof(*soak));
    if (!soak)
        return NULL;
    *soak = (struct soak){
        .config = *config,
        .parent = parent,
        .protocol = parent->protocol,
        .ops = parent->ops,
        .own = parent->own,
        .flows = parent->flows,
        .peers = parent->peers,
        .seed = parent->seed,
        .start_ns = parent->start_ns,
        .scratch = parent->scratch,
    };
    soak_init(soak);
    init_lists(soak);
    return measure_init(&soak->measure, soak->start_ns) < 0 ? soak_free(soak) : soak;
}
