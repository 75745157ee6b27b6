/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a configuration says, checked as far as that goes without asking the kernel.
 */
#include "attachment/plan.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/shard.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static int plan_wire(struct attach_plan *plan, struct peer_error *error)
{
    const struct peer_net_config *config = plan->config;

    plan->kind = config->wire ? PEER_TAP : config->kind;
    if (config->wire && config->isolate)
        return error_set(
            error, PEER_ERROR_USAGE, EINVAL,
            "`wire` and `isolate` exclude each other: a fresh namespace has no interface");
    if (config->wire && config->local)
        return error_set(
            error, PEER_ERROR_USAGE, EINVAL,
            "`wire` and `local` exclude each other: the local side is %.64s, which has "
            "its addresses",
            config->wire);
    return 0;
}

uint64_t attach_shard_seed(uint64_t seed, uint64_t shard)
{
    struct rng rng;

    rng_derive(&rng, seed, RNG_SHARDS);
    for (uint64_t i = 0; i < shard % 65536; i++)
        rng_next(&rng);
    return rng_next(&rng) >> 16 | 1;
}

static int plan_shard(struct attach_plan *plan, struct peer_error *error)
{
    const unsigned long long shard = plan->config->shard, shards = plan->config->shards;
    const uint64_t count = plan->peers.count;

    if (shard >= MAX(shards, 1ULL) || shards > SHARDS_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "there is no shard %llu of %llu: they count from 0, and are %d at the most",
                         shard, shards, SHARDS_MOST);
    if (shards <= 1)
        return 0;
    if (!plan->peers.family)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "shards share the peers' addresses, and none were given");
    if (count < shards)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%llu addresses of peers cannot be shared by %llu shards",
                         (unsigned long long)count, shards);
    uint64_t first = shard_begin(count, shard, shards), end = shard_begin(count, shard + 1, shards);
    if (addr_set_slice(&plan->peers, first, end - first) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return 0;
}

/* More queues than addresses would have nothing to do. */
static int plan_workers(struct attach_plan *plan, struct peer_error *error)
{
    const struct peer_net_config *config = plan->config;
    const unsigned long long workers = config->workers, count = plan->peers.count;

    if (workers <= 1)
        return 0;
    if (workers > PEER_WORKERS_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "`workers` may be %d at the most",
                         PEER_WORKERS_MOST);
    if (!plan->peers.family)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`workers` share the peers' addresses, and none were given: name some with "
                         "`from`");
    if (count < workers)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%llu addresses of peers cannot be shared by %llu workers: name more with "
                         "`from`, or take fewer `workers`",
                         count, workers);
    return 0;
}

static int plan_seed(struct attach_plan *plan, struct peer_error *error)
{
    plan->seed = plan->config->seed;
    while (!plan->seed) {
        if (getrandom(&plan->seed, sizeof(plan->seed), 0) < 0 && errno != EINTR)
            return error_set(error, PEER_ERROR_MACHINE, errno, "no random seed: %s",
                             error_text(errno));
        plan->seed >>= 16; /* shorter to type again */
    }
    plan->seed_told = plan->seed;
    if (plan->config->shards > 1)
        plan->seed = attach_shard_seed(plan->seed, plan->config->shard);
    return 0;
}

static int plan_local(struct attach_plan *plan, struct peer_error *error)
{
    const struct peer_net_config *config = plan->config;

    if (config->local && addr_prefix_parse(config->local, &plan->local) < 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" (`local`) is no address or ADDRESS/LENGTH", config->local);
    if (config->local &&
        (addr_is_loopback(&plan->local.addr) || addr_is_multicast(&plan->local.addr) ||
         addr_is_unspecified(&plan->local.addr)))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" (`local`) can be no address of a device; choose a unicast address",
                         config->local);
    if (!config->local && config->isolate && config->target.family &&
        !addr_is_loopback(&config->target)) {
        /* Nothing has an address in a fresh namespace: the target will be the device's. */
        plan->local.addr = config->target;
        plan->local.length = config->target.family == 6 ? 128 : 32;
    }
    return 0;
}

/* The family is whatever was given first: the peers, the target, the local address, the wish. */
static int plan_family(struct attach_plan *plan, struct peer_error *error)
{
    const struct peer_net_config *config = plan->config;
    const struct {
        const char *name;
        uint8_t family;
    } given[] = {{"`from`", plan->peers.family},
                 {"the target", config->target.family},
                 {"`local`", plan->local.addr.family},
                 {"-4 or -6", config->family}};
    const char *by = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
        if (!given[i].family)
            continue;
        if (by && given[i].family != plan->family)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "%s is IPv%d but %s is IPv%d; use one family", by, plan->family,
                             given[i].name, given[i].family);
        by = by ? by : given[i].name;
        plan->family = given[i].family;
    }
    if (!by)
        plan->family = 4;
    return 0;
}

static int plan_mtu(struct attach_plan *plan, struct peer_error *error)
{
    uint32_t most = plan->kind == PEER_TAP ? PEER_MTU_MAX_TAP : PEER_MTU_MAX_TUN;
    uint32_t least = plan->family == 6 ? PEER_MTU_MIN_V6 : PEER_MTU_MIN_V4;

    plan->mtu = plan->config->mtu ? plan->config->mtu : PEER_MTU_DEFAULT;
    if (plan->config->wire && !plan->config->mtu) {
        plan->mtu = 0;
        return 0;
    }
    if (plan->mtu < least || plan->mtu > most)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "MTU %u does not go with IPv%d on %s; it may be %u to %u", plan->mtu,
                         plan->family, plan->kind == PEER_TAP ? "TAP" : "TUN", least, most);
    return 0;
}

static int plan_mac(struct attach_plan *plan, struct peer_error *error)
{
    const char *text = plan->config->mac;
    struct rng rng;

    if (text && peer_mac_parse(text, &plan->first_mac) < 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" (`mac`) is no unicast Ethernet address such as 02:00:00:00:00:01",
                         text);
    if (text && plan->kind != PEER_TAP)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`mac` needs `PEER_TAP`: a TUN device has no Ethernet addresses");
    if (text)
        return 0;
    /* Locally administered, "PE", and 24 bits of the seed to count up from. */
    rng_derive(&rng, plan->seed, RNG_MACS);
    uint64_t low = rng_next(&rng);
    plan->first_mac = (struct peer_mac){
        {0x02, 0x50, 0x45, (uint8_t)low, (uint8_t)(low >> 8), (uint8_t)(low >> 16)}};
    return 0;
}

int attach_plan(const struct peer_net_config *config, struct attach_plan *ret_plan,
                struct peer_error *error)
{
    static int (*const steps[])(struct attach_plan *, struct peer_error *) = {
        plan_wire, plan_shard, plan_workers, plan_seed, plan_local, plan_family, plan_mtu, plan_mac};
    struct attach_plan plan = {.config = config};
    int status = 0;

    if (config->isolate && config->netns)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`isolate` and `netns` exclude each other");
    if (config->from)
        status = addr_set_parse(config->from, &plan.peers, error);
    for (size_t i = 0; i < ARRAY_SIZE(steps) && status >= 0; i++)
        status = steps[i](&plan, error);
    if (status < 0) {
        attach_plan_done(&plan);
        return status;
    }
    *ret_plan = plan;
    return 0;
}

void attach_plan_done(struct attach_plan *plan)
{
    if (plan->peers.family)
        addr_set_done(&plan->peers);
    memset(plan, 0, sizeof(*plan));
}
