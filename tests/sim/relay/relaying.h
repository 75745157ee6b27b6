/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RELAYING_H
#define TESTS_RELAYING_H

#include "support/simtest.h"

#include "lib/internal.h"

/* A net of the public API around a simulated engine. */

static inline struct peer_net *net_around(struct simnet *sim)
{
    struct peer_net *net = calloc(1, sizeof(*net));

    assert_non_null(net);
    net->engine = simnet_engine(sim);
    list_init(&net->pending);
    list_init(&net->pings);
    list_init(&net->sent_pings);
    list_init(&net->listeners);
    list_init(&net->handles);
    assert_int_equal(addr_set_parse("198.18.0.2", &net->attachment.peers, NULL), 0);
    return net;
}

static inline void net_around_free(struct peer_net *net)
{
    addr_set_done(&net->attachment.peers);
    free(net);
}

#endif
