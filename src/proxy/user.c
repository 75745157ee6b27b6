/* SPDX-License-Identifier: BSD-3-Clause */
#include "proxy/user.h"

#include "base/rng.h"

#include <string.h>

/* A keyed hash: nobody finds names of one peer without trying, and another seed mixes them anew. */
static uint64_t hash_name(const char *user, uint64_t seed)
{
    struct rng rng;

    rng_derive(&rng, seed, RNG_PROXY);
    const uint64_t key[2] = {rng_next(&rng), rng_next(&rng)};
    return siphash(key, user, strlen(user));
}

struct proxy_peer proxy_user_peer(const char *user, uint64_t seed, uint64_t peers)
{
    struct proxy_peer peer = {.choice = PROXY_NEXT};

    if (!user[0])
        return peer;
    if (user[0] == '<') {
        peer.choice = PROXY_RESERVED;
    } else if (peer_addr_parse(user, &peer.addr) == 0) {
        peer.choice = PROXY_ADDRESS;
    } else {
        peer.choice = PROXY_INDEX;
        peer.index = hash_name(user, seed) % peers;
    }
    return peer;
}
