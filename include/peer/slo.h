/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_SLO_H
#define PEER_SLO_H

/**
 * Objectives: what a service must keep under a soak, in words, and whether it did. See peer/peer.h
 * for the conventions.
 *
 *     METRIC COMPARISON BOUND[@each], blanks being optional:   p99<20ms   errors < 0.1 %   rate>=5k
 *
 * METRIC is a latency, `p50` to `p99.99` (p999 is p99.9), `min`, `mean` or `max`, of requests or of
 * what stands before it: `handshake.p99`, `login.p99`, `first_byte.p99`; `will.p99` and `ping.p99`; `errors`, or a
 * kind of them as in `errors.timeout`; `rate`, requests completed a second; `connections`, established a second;
 * `completed`, requests. COMPARISON is one of < <= > >=. BOUND of a latency is a time (20ms, 1.5s, 800us), of
 * errors a number or a share of all that was asked for (0.1%), else a number (5000, 20k; of rates
 * 5000/s too).
 * `@each`: in each interval of the series as well, of which the worst is told. A last interval that
 * is shorter than the others counts with the rest for latencies and errors, not for rates.
 */

#include <peer/soak.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_slo;

/** -EINVAL with text for what is none, -ENOMEM. */
PEER_EXPORT int peer_slo_new(const char *text, struct peer_slo **ret_slo, struct peer_error *error);
/** Takes NULL, returns NULL. */
PEER_EXPORT struct peer_slo *peer_slo_free(struct peer_slo *slo);
/** As it was given. Lives as long as `slo`. */
PEER_EXPORT const char *peer_slo_text(const struct peer_slo *slo);
/** Whether it asks for each interval: the soak must keep them (`keep_intervals`). */
PEER_EXPORT bool peer_slo_is_each(const struct peer_slo *slo);
/** Whether it is about errors. */
PEER_EXPORT bool peer_slo_is_errors(const struct peer_slo *slo);

enum peer_slo_unit {
    PEER_SLO_NUMBER,
    PEER_SLO_MICROSECONDS,
    PEER_SLO_SHARE, /* 0 to 1 */
    PEER_SLO_PER_SECOND,
};

struct peer_slo_verdict {
    bool kept;     /* false too when nothing was measured that it is about */
    bool measured; /* `value` is known */
    enum peer_slo_unit unit;
    double value, bound;
    bool in_interval;           /* `value` is that of an interval, the worst: */
    uint64_t interval_start_ns; /* its start, */
    uint64_t intervals_failed;  /* and how many did not keep it */
};
PEER_EXPORT void peer_slo_judge_sized(const struct peer_slo *slo, const struct peer_result *result,
                                      struct peer_slo_verdict *ret_verdict, size_t size);
static inline void peer_slo_judge(const struct peer_slo *slo, const struct peer_result *result,
                                  struct peer_slo_verdict *ret_verdict)
{
    peer_slo_judge_sized(slo, result, ret_verdict, sizeof(*ret_verdict));
}

/** Keeps the objective in the result, in words, for those who read it later; once. -ENOMEM. */
PEER_EXPORT int peer_result_note_objective(struct peer_result *result, const struct peer_slo *slo);
/** The `index`-th that was noted, for peer_slo_new; NULL: there are no more. Lives as long as the
 *  result. */
PEER_EXPORT const char *peer_result_get_objective(const struct peer_result *result, size_t index);

/** Of a soak with a rate: whether requests were answered as fast as they were asked for, all but one
 *  of a hundred. A service that is behind shows it in latencies only when the soak lasts. */
PEER_EXPORT bool peer_result_keeps_up(const struct peer_result *result);

/**
 * The highest rate that a service keeps its objectives at: which rates to try, one soak each.
 *
 *     while (peer_rate_search_next(search, &rate)) {
 *         ... a soak with `config.rate = rate` ...
 *         peer_rate_search_tell(search, all_were_kept);
 *     }
 *
 * It climbs from `low` by doubling and then halves what is left, in ratios, to within 2 %. A rate is
 * too high when it was so twice.
 */
struct peer_rate_search;
/** Requests a second, 0 < low <= high: else, or without memory, NULL. */
PEER_EXPORT struct peer_rate_search *peer_rate_search_new(double low, double high);
/** Takes NULL, returns NULL. */
PEER_EXPORT struct peer_rate_search *peer_rate_search_free(struct peer_rate_search *search);
/** False when it is over. The same rate until peer_rate_search_tell was called. */
PEER_EXPORT bool peer_rate_search_next(struct peer_rate_search *search, double *ret_rate);
/** What became of that rate. */
PEER_EXPORT void peer_rate_search_tell(struct peer_rate_search *search, bool kept);
/** The highest that was kept so far, or 0. */
PEER_EXPORT double peer_rate_search_found(const struct peer_rate_search *search);

/** One rate that a search tried. */
struct peer_search_step {
    double rate;         /* asked for, a second */
    double reached;      /* answered in time, a second */
    double p99_us;       /* of requests; 0: there was none */
    bool kept;
    const char *why_not; /* in words; "" when it was kept. Lives as long as the result */
};
/** Keeps it in the result, behind those that are there. -ENOMEM. */
PEER_EXPORT int peer_result_note_step_sized(struct peer_result *result,
                                            const struct peer_search_step *step, size_t size);
static inline int peer_result_note_step(struct peer_result *result,
                                        const struct peer_search_step *step)
{
    return peer_result_note_step_sized(result, step, sizeof(*step));
}
/** The `index`-th: 1, or 0 when there are no more. */
PEER_EXPORT int peer_result_get_step_sized(const struct peer_result *result, size_t index,
                                           struct peer_search_step *ret_step, size_t size);
static inline int peer_result_get_step(const struct peer_result *result, size_t index,
                                       struct peer_search_step *ret_step)
{
    return peer_result_get_step_sized(result, index, ret_step, sizeof(*ret_step));
}

#ifdef __cplusplus
}
#endif

#endif
