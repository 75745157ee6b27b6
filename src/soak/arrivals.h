/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_ARRIVALS_H
#define SOAK_ARRIVALS_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>

/**
 * Times at which requests are wanted that know nothing of each other (a Poisson process): the gaps
 * between them are exponential. The same from the same seed, each time computed once on the way of
 * two readers: one counts what is due, the other takes.
 */
struct arrivals_reader {
    struct rng rng;
    double gap_ns; /* mean */
    double at;     /* of the next one, after the start, in nanoseconds */
    uint64_t passed;
};
/* A rate that begins while some of an earlier one are not taken. */
struct arrivals_turn {
    uint64_t first; /* how many come before it */
    double at, gap_ns;
};
enum { ARRIVALS_TURNS = 32 };
struct arrivals {
    uint64_t counted; /* due, and not of the warm-up */
    struct arrivals_reader due, taken;
    struct arrivals_turn turns[ARRIVALS_TURNS];
    size_t turn_count;
};

void arrivals_init(struct arrivals *arrivals, double rate, const struct rng *rng);
/** When the reader's next one is, after the start. */
uint64_t arrivals_next_ns(const struct arrivals_reader *reader);
void arrivals_pass(struct arrivals *arrivals, struct arrivals_reader *reader);
/** What is not due by `at_ns` after the start comes at another rate from there on: who knows nothing
 *  of what was before has nothing to wait for. -EAGAIN when it is full. */
int arrivals_turn(struct arrivals *arrivals, double rate, uint64_t at_ns);
bool arrivals_is_full(const struct arrivals *arrivals);

#endif
