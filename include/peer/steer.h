/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_STEER_H
#define PEER_STEER_H

/**
 * A soak is changed while it goes on, and says how it stands. Each change is kept in its result, with
 * the time at which it was made. See peer/peer.h for the conventions; from a hook of a workload
 * (peer/workload.h) nothing is changed: -EBUSY.
 */

#include <peer/soak.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Requests a second from now on, all flows together, as `config.rate`. What was wanted until now and
 *  is not asked yet stays wanted at its time. A soak without a rate has one from then on. -EINVAL
 *  with text, and nothing was changed. */
PEER_EXPORT int peer_soak_set_rate(struct peer_soak *soak, double rate, struct peer_error *error);
/** Nothing more is wanted: no request, no connection. What is under way goes on, and so does the
 *  measured time; rates are of what is left of it without the pauses. Likewise. */
PEER_EXPORT int peer_soak_pause(struct peer_soak *soak, struct peer_error *error);
/** It goes on, with nothing to catch up with. */
PEER_EXPORT int peer_soak_resume(struct peer_soak *soak, struct peer_error *error);
/** Who misbehaves from now on, as `config.manners`: flows that do end, and new ones take their places.
 *  NULL or "": nobody. In the result each manner's flows are by themselves, also those that were
 *  ended. */
PEER_EXPORT int peer_soak_set_manners(struct peer_soak *soak, const char *manners,
                                      struct peer_error *error);
/** Keeps in the result that something else was changed now: "link delay 50ms". -EINVAL for an empty
 *  text, -ENOSPC: many thousands were, -ENOMEM. */
PEER_EXPORT int peer_soak_note_change(struct peer_soak *soak, const char *words);

/** A change: what, and when. */
struct peer_soak_change {
    int64_t at_ns;     /* since the start of the measured time, as intervals have it; less than 0: in
                        * the warm-up */
    uint64_t wall_ns;  /* by the wall clock (Unix time) */
    uint64_t shard;    /* whose, in what was joined of several; else 0 */
    const char *words; /* "rate 500"; lives as long as the result */
};
/** The `index`-th change, by their times: 1, or 0 when there are no more. */
PEER_EXPORT int peer_result_get_change_sized(const struct peer_result *result, size_t index,
                                             struct peer_soak_change *ret_change, size_t size);
static inline int peer_result_get_change(const struct peer_result *result, size_t index,
                                         struct peer_soak_change *ret_change)
{
    return peer_result_get_change_sized(result, index, ret_change, sizeof(*ret_change));
}

/** The same of a soak that goes on, by its measured time so far; the words live as long as it does. */
PEER_EXPORT int peer_soak_get_change_sized(const struct peer_soak *soak, size_t index,
                                           struct peer_soak_change *ret_change, size_t size);
static inline int peer_soak_get_change(const struct peer_soak *soak, size_t index,
                                       struct peer_soak_change *ret_change)
{
    return peer_soak_get_change_sized(soak, index, ret_change, sizeof(*ret_change));
}

/** How a soak stands: of the healthy flows, in the measured time so far. */
struct peer_soak_state {
    struct peer_soak_counts counts;
    uint64_t open, flows; /* connections that there are, and that there are to be */
    double rate;          /* wanted a second; 0: as fast as answers come */
    uint64_t behind;      /* requests that are due and not asked yet */
    bool paused, warming, ending;
    uint64_t elapsed_ns, paused_ns; /* of the measured time; in the warm-up, since its start */
    uint64_t retransmits, syn_retransmits; /* by the peers */
    uint64_t changes;                      /* how many were made */
};
/** Cheap. */
PEER_EXPORT void peer_soak_get_state_sized(const struct peer_soak *soak,
                                           struct peer_soak_state *ret_state, size_t size);
static inline void peer_soak_get_state(const struct peer_soak *soak,
                                       struct peer_soak_state *ret_state)
{
    peer_soak_get_state_sized(soak, ret_state, sizeof(*ret_state));
}
/** What the local kernel did so far, as in the report. It reads files of the kernel: some hundred
 *  microseconds. */
PEER_EXPORT void peer_soak_get_local_sized(const struct peer_soak *soak,
                                           struct peer_soak_local *ret_local, size_t size);
static inline void peer_soak_get_local(const struct peer_soak *soak,
                                       struct peer_soak_local *ret_local)
{
    peer_soak_get_local_sized(soak, ret_local, sizeof(*ret_local));
}
/** How many samples took no longer. */
struct peer_soak_bucket {
    double most_us; /* the caller's; INFINITY: all of them */
    uint64_t count;
};
/** Fills in the counts so far of `buckets`, whose bounds ascend, by the three digits that a histogram
 *  has, and the sum of all samples in microseconds. -EINVAL: there is no such histogram. It reads a
 *  quarter of a megabyte. */
PEER_EXPORT int peer_soak_get_buckets(const struct peer_soak *soak, enum peer_soak_histogram which,
                                      struct peer_soak_bucket *buckets, size_t count,
                                      double *ret_sum_us);
/** How many answers so far had this status; 0: one beyond 999. */
PEER_EXPORT uint64_t peer_soak_get_status(const struct peer_soak *soak, unsigned status);

#ifdef __cplusplus
}
#endif

#endif
