/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_ARRIVALS_H
#define SOAK_ARRIVALS_H

#include "base/rng.h"

/**
 * Times at which requests are wanted that know nothing of each other (a Poisson process): the gaps
 * between them are exponential. The same from the same seed, each time computed once on the way of
 * two readers: one counts what is due, the other takes.
 */
struct arrivals_reader {
    struct rng rng;
    double at; /* of the next one, after the start, in nanoseconds */
    uint64_t passed;
};
struct arrivals {
    double gap_ns;    /* mean */
    uint64_t counted; /* due, and not of the warm-up */
    struct arrivals_reader due, taken;
};

void arrivals_init(struct arrivals *arrivals, double rate, const struct rng *rng);
/** When the reader's next one is, after the start. */
uint64_t arrivals_next_ns(const struct arrivals_reader *reader);
void arrivals_pass(const struct arrivals *arrivals, struct arrivals_reader *reader);

#endif
