/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHMENT_PLAN_H
#define ATTACHMENT_PLAN_H

#include "base/addr_set.h"

#include <peer/peer.h>

/** What a configuration says, checked as far as that goes without asking the kernel. */
struct attach_plan {
    const struct peer_net_config *config;
    enum peer_device_kind kind; /* TAP for a wire */
    uint8_t family;
    struct addr_set peers; /* empty (family 0) when they are to be chosen */
    struct peer_mac first_mac;
    uint32_t mtu;             /* 0: that of the wire */
    struct addr_prefix local; /* family 0: none wanted */
    uint64_t seed, seed_told; /* of this shard; of all */
};
/** 0 or -errno with text. */
int attach_plan(const struct peer_net_config *config, struct attach_plan *ret_plan,
                struct peer_error *error);
/** By which one of several shards draws: as long as one that is drawn, and never 0. */
uint64_t attach_shard_seed(uint64_t seed, uint64_t shard);
void attach_plan_done(struct attach_plan *plan);

#endif
