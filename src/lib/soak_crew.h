/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_SOAK_CREW_H
#define LIB_SOAK_CREW_H

#include "lib/crew.h"
#include "lib/soaks.h"

#include "soak/result.h"

/** A soak by workers: what of it is the coordinator's (soak_crew.c), and each of theirs (soak_worker.c). */

struct soak_member {
    bool measured, over, found;
    struct result_interval *intervals; /* not taken yet */
    size_t interval_count;
    uint8_t *bytes; /* of a result */
    size_t len;
};

struct soak_crew {
    struct peer_soak *soak;
    struct peer_soak_config config; /* as the caller's, for as long as peer_soak_start takes */
    struct soak_member members[PEER_WORKERS_MOST];
    bool measured, paused;
    uint64_t measured_ns;   /* when measuring began */
    struct result snapshot; /* see soak_crew_snapshot */
    uint64_t snapshot_ns;   /* 0: there is none */
};
/** That of the crew, which runs a soak. */
struct soak_crew *soak_crew_of(const struct crew *crew);

/* soak_crew.c */
int soak_crew_start(struct peer_net *net, struct peer_soak *soak,
                    const struct peer_soak_config *config, struct peer_error *error);
bool soak_crew_is_over(const struct crew *crew);
/** The sums so far, as they were told of. */
void soak_crew_get_state(const struct crew *crew, struct peer_soak_state *ret_state);
/** What they have found, as it was some 100 ms ago at the most; NULL: it is not to be had. */
const struct result *soak_crew_snapshot(struct crew *crew);
/** The next interval that all have told: 1, or 0. */
int soak_crew_pop_interval(struct crew *crew, struct result_interval *ret_interval);
/** Adds what those found who are not lost. -errno. */
int soak_crew_get_result(struct crew *crew, struct result *result);

/* soak_worker.c */
struct soak_work {
    struct peer_soak *soak; /* NULL: not begun */
    bool over;
};
int soak_worker_begin(struct worker *worker, const struct crew_message *go,
                      struct peer_error *error);
void soak_worker_turned(struct worker *worker);
void soak_worker_fill(struct worker *worker, struct crew_told *told);
void soak_worker_heed(struct worker *worker, const struct crew_message *message);
void soak_worker_end(struct worker *worker);
/** Measuring begins or ends. */
void soak_worker_tell_measured(struct worker *worker, bool begins);

/* soak.c */
/** Where a worker stands among the others: when all began, by both clocks. */
struct soak_part {
    uint64_t begin_ns, wall_ns;
    struct worker *worker;
    uint64_t all_flows; /* of all */
};
int soak_start_part(struct peer_net *net, const struct peer_soak_config *config,
                    const struct soak_part *part, struct peer_soak **ret_soak,
                    struct peer_error *error);
int soak_take_interval(struct peer_soak *soak, struct result_interval *ret_interval);
int soak_fill_result(struct peer_soak *soak, struct result *result);
/** In the coordinator: measuring begins or ends in all of them. */
void soak_is_being_measured(struct peer_soak *soak, bool begins);

#endif
