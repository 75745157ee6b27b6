/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_SEARCH_H
#define SOAK_SEARCH_H

#include <stdbool.h>

/**
 * The highest rate at which something holds, between two bounds: which to try next. Arithmetic alone.
 * It climbs from the lower bound by doubling, and then halves what is left, in ratios, until that is
 * narrower than SEARCH_NARROW. A rate counts as too high when it was so twice: a single hiccup of the
 * machine early on would cost the rest of the range.
 */
#define SEARCH_NARROW 1.02
struct rate_search {
    double low, high;    /* of what was asked for */
    double kept, failed; /* the highest that held, the lowest that did not; 0: none yet */
    double rate;         /* being tried */
    unsigned failures;   /* of `rate` */
};

/** 0 < low <= high. */
void rate_search_init(struct rate_search *search, double low, double high);
/** The rate to try, which rate_search_tell is told about then; false when it is over. */
bool rate_search_next(struct rate_search *search, double *ret_rate);
void rate_search_tell(struct rate_search *search, bool held);

#endif
