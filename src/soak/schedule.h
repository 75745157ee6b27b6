/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_SCHEDULE_H
#define SOAK_SCHEDULE_H

#include "soak/arrivals.h"
#include "soak/pace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * When requests and connections are wanted: arithmetic on numbers, without flows and timers.
 *
 * Closed (`rate` 0): one more is wanted whenever a flow can ask. Open: request k (from 0) is wanted
 * at start + k / rate, whatever became of those before it. Every time is computed from k alone, so
 * that nothing drifts, and the count of what is wanted by a time agrees with those times to the
 * nanosecond, for 0.1/s as for 20k/s.
 *
 * Several processes share one schedule by their phase: of `n` with n-th parts of its rate the i-th has
 * phase i/n, and theirs together are the times of the whole. So it is for connections.
 *
 * With `arrivals` they come at random (arrivals.h) instead, as many in the long run.
 *
 * A request belongs to the time at which it was wanted: to the warm-up before `warm_ns`, to the
 * measured time from then until `end_ns`, which is no longer in it. `total` counts the latter.
 *
 * The rate may change, and pause, on the way. What was wanted before that and is not taken yet keeps
 * the time at which it was wanted; a pause wants nothing, and leaves nothing to catch up with.
 */

/* What was wanted at an earlier rate, while there is some of it left to take. */
struct schedule_phase {
    double rate;
    struct pace pace;
};
enum { SCHEDULE_PHASES = 32 };

struct schedule {
    double rate;               /* requests a second; 0: closed */
    struct arrivals *arrivals; /* open: the caller's; NULL: evenly */
    double connect_rate;       /* connections a second; 0: no limit */
    uint64_t ramp_ns;          /* the first `flows` connections are opened over this time */
    uint64_t flows;            /* at once */
    uint64_t total;            /* requests in the measured time; 0: no limit */
    bool by_opening;           /* open: a request is taken when its connection is opened */
    uint64_t start_ns, warm_ns, end_ns; /* `end_ns` UINT64_MAX: none */
    uint64_t issued;                    /* requests taken so far */
    uint64_t counted;                   /* those of them that belong to the measured time */
    uint64_t opened;                    /* connections so far; counted by the caller */
    /* Its own. */
    bool paused;
    struct pace pace, opening; /* of requests, of connections; from `start_ns` on */
    struct schedule_phase earlier[SCHEDULE_PHASES];
    size_t earlier_count;
    bool warmed; /* the warm-up was over at a change: */
    uint64_t warm_count;
};

/** Before it begins: its phase, 0 to 1, of the time between two. */
void schedule_set_phase(struct schedule *schedule, double phase);
/** Open: wanted by now and not taken; what is wanted at the end or later is not. Closed: 0. */
uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns);
/** Takes the next request: when it was wanted. Latencies count from then. */
uint64_t schedule_take(struct schedule *schedule, uint64_t now_ns);
/** When the next request is wanted (closed: `now_ns`), UINT64_MAX: never, or not before it goes on. */
uint64_t schedule_next_ns(const struct schedule *schedule, uint64_t now_ns);
/** No request is to be taken any more. */
bool schedule_exhausted(const struct schedule *schedule);
/** How many requests are still to be taken; UINT64_MAX: no limit. */
uint64_t schedule_left(const struct schedule *schedule);
/** How many connections may have been opened by now in all, and when one more may be (UINT64_MAX:
 *  at once, or whenever there is work for it). */
uint64_t schedule_connections(const struct schedule *schedule, uint64_t now_ns,
                              uint64_t *ret_next_ns);

/** Requests a second from now on, more than 0; a closed schedule becomes an open one. -EAGAIN when
 *  requests of too many earlier rates are not taken yet. */
int schedule_set_rate(struct schedule *schedule, double rate, uint64_t now_ns);
/** Likewise connections a second, where there is such a rate. */
void schedule_set_connect_rate(struct schedule *schedule, double rate, uint64_t now_ns);
/** Nothing more is wanted until it goes on; as schedule_set_rate. */
int schedule_pause(struct schedule *schedule, uint64_t now_ns);
void schedule_go_on(struct schedule *schedule, uint64_t now_ns);

#endif
