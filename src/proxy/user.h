/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_USER_H
#define PROXY_USER_H

#include <peer/addr.h>

/** Which peer a user name of a proxy's client means. */
enum proxy_choice {
    PROXY_NEXT,     /* no name: the next in turn */
    PROXY_ADDRESS,  /* the peer of this address */
    PROXY_INDEX,    /* the peer of this index: always the same for this name */
    PROXY_RESERVED, /* names that begin with '<' mean nothing yet */
};

struct proxy_peer {
    enum proxy_choice choice;
    struct peer_addr addr; /* PROXY_ADDRESS; it need not be a peer's */
    uint64_t index;        /* PROXY_INDEX: below the count of peers */
};

/** `seed` of the run, `peers` how many there are, at least one. */
struct proxy_peer proxy_user_peer(const char *user, uint64_t seed, uint64_t peers);

#endif
