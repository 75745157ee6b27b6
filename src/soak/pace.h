/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_PACE_H
#define SOAK_PACE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * So many a second, evenly, at a rate that may change: arithmetic on numbers. The rate itself is the
 * caller's, the same in each call until pace_stop. What is zeroed begins at offset 0 with number 0.
 *
 * A change loses no fraction: half of the way to the next one at 10 a second is half of the way at
 * 1000 a second, and a pause is out of it altogether.
 */
struct pace {
    uint64_t since_ns; /* when number `first` is due */
    uint64_t first;    /* how many were due before the rate was this one */
    double left;       /* stopped: of the way to the next one, 0 to 1 */
    bool stopped;
};

/** When the k-th of `rate` a second is due, in nanoseconds after the first. */
uint64_t schedule_offset_ns(double rate, uint64_t k);
/** How many of `rate` a second are due when `elapsed_ns` have gone by: the first one at once. */
uint64_t schedule_count(double rate, uint64_t elapsed_ns);

/** How many are due when `elapsed_ns` have gone by. */
uint64_t pace_due(const struct pace *pace, double rate, uint64_t elapsed_ns);
/** When number `k` is due, not one of an earlier rate; UINT64_MAX while it is stopped. */
uint64_t pace_at_ns(const struct pace *pace, double rate, uint64_t k);
/** None is due any more; `taken` ones are gone already, be they due or not. */
void pace_stop(struct pace *pace, double rate, uint64_t elapsed_ns, uint64_t taken);
/** It goes on where it was stopped. */
void pace_go_on(struct pace *pace, double rate, uint64_t elapsed_ns);

#endif
