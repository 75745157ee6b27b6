/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SOAKING_H
#define TESTS_SOAKING_H

#include "simnet.h"

#include <peer/manner.h>
#include <peer/soak.h>

/**
 * A soak as callers of the library have it, in virtual time. What it calls, 198.18.0.9:80, is
 * another peer of the same simnet, whose connections are ends as the test wants them. Nothing but
 * the wire and what these ends wait for takes time, so every figure is exact.
 *
 * What the local kernel counted is this machine's, and not of the run.
 */
#define SOAKING_TO "198.18.0.9"
enum { SOAKING_PORT = 80 };

struct soaking {
    struct simnet *net;
    struct peer_net *peers;
    struct peer_soak *soak; /* NULL: freed */
    uint64_t start_ns;
    struct peer_result *result;     /* what was found, when it was over */
    struct peer_soak_report report; /* the result's */
    struct peer_soak_counts counts; /* the report's */
};

/** A net of peers: `net` needs no addresses. Each caller of the application becomes an end like
 *  `*application`, over TCP and UDP. */
void soaking_begin(struct soaking *soaking, const struct simnet_config *net,
                   const struct end *application);
/** Starts a soak, where no target is given that of above. As peer_soak_start. */
int soaking_start(struct soaking *soaking, const struct peer_soak_config *config,
                  struct peer_error *error);
/** Until it is over, which must be within so long; then its report is there. */
void soaking_finish(struct soaking *soaking, uint64_t limit_ns);
/** All three. */
void soaking_run(struct soaking *soaking, const struct simnet_config *net,
                 const struct end *application, const struct peer_soak_config *config);
/** Reads the report now. */
void soaking_look(struct soaking *soaking);
/** Frees the soak, lets what is closing end, and frees the rest. */
void soaking_end(struct soaking *soaking);

/** Every request has one fate, and every completed one a latency. */
void soaking_assert_counts(const struct soaking *soaking, uint64_t requests, uint64_t completed,
                           uint64_t errors);

#endif
