/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_SOAK_H
#define SOAK_SOAK_H

#include "base/addr_set.h"
#include "flow/flow.h"
#include "soak/protocol.h"
#include "soak/result.h"

#include <peer/soak.h>

/**
 * A soak: runs side by side, one of the healthy clients and one for each manner among them, with the
 * same protocol, the same peers and one schedule to begin and end with. What it found is a result.
 */
struct soak;

/** Called when the measured time of the healthy run begins behind a warm-up, and when it ends. */
typedef void (*soak_measured)(void *user, bool begins);

/** On whose flows it runs; flows and peers outlive it. */
struct soak_host {
    struct flows *flows;
    const struct addr_set *peers;
    uint64_t seed;
    struct tls_context *tls; /* of each connection; NULL: none */
    uint64_t begin_ns; /* when all begin that share the run, not long ago; 0: now */
    double phase;      /* among these, see schedule.h */
    uint64_t parts;    /* how many these are; 0 is 1 */
    /** It has the flows of one worker of so many, who have `all_flows` together: shares of manners are of
     *  these. 0 workers: it has all. */
    uint64_t worker, workers, all_flows;
    soak_measured measured; /* may be NULL */
    void *user;
};
/** `config` as given by the caller, strings are copied or taken. 0, -EINVAL with text, -ENOMEM. */
int soak_start(const struct peer_soak_config *config, const struct protocol *protocol,
               const struct soak_host *host, struct soak **ret_soak, struct peer_error *error);
/** No more requests; what is under way may end within `grace_ns`. */
void soak_stop(struct soak *soak, uint64_t grace_ns);
bool soak_is_over(const struct soak *soak);
/** Its measured time is over; stragglers still count. */
bool soak_is_measured(const struct soak *soak);
struct soak *soak_free(struct soak *soak);

/** While it goes on; -EINVAL with text for what cannot be, and nothing was changed. A closed soak gets an
 *  open schedule by a rate. */
int soak_set_rate(struct soak *soak, double rate, struct peer_error *error);
/** Nothing more is wanted until it goes on. No effect when that is so. */
int soak_pause(struct soak *soak, struct peer_error *error);
int soak_go_on(struct soak *soak, struct peer_error *error);
bool soak_is_paused(const struct soak *soak);
/** Those that misbehave until now end, and others begin; NULL or "": none. -ENOMEM. */
int soak_set_manners(struct soak *soak, const char *manners, struct peer_error *error);

/** How the healthy run stands. */
struct soak_state {
    double rate; /* 0: closed */
    uint64_t flows, behind;
    uint64_t start_ns, until_ns, paused_ns; /* its measured time so far */
    bool paused, warming, ending;
    const struct figures *found;
};
void soak_get_state(const struct soak *soak, struct soak_state *ret_state);

/** Cheap: counts and open connections of the healthy run. */
const struct peer_soak_counts *soak_counts(const struct soak *soak, uint64_t *ret_open);
/** What it found so far, without the intervals: those are taken one by one. `ret_result` is
 *  initialised; -ENOMEM. */
int soak_get_result(const struct soak *soak, uint64_t now_ns, struct result *ret_result);
/** The next complete interval, the caller's then: 1, or 0 when there is none yet. */
int soak_pop_interval(struct soak *soak, struct result_interval *ret_interval);

#endif
