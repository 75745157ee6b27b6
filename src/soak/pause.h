/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_PAUSE_H
#define SOAK_PAUSE_H

#include "base/rng.h"

#include <peer/error.h>

/** How long somebody waits before he asks again, drawn from a distribution. */
enum pause_kind {
    PAUSE_NONE,
    PAUSE_CONSTANT,    /* `first` */
    PAUSE_EXPONENTIAL, /* mean `first` */
    PAUSE_UNIFORM,     /* from `first` to `second` */
    PAUSE_NORMAL,      /* mean and standard deviation; below 0 it is 0 */
    PAUSE_LOGNORMAL,   /* likewise, of the times themselves */
};
struct pause {
    enum pause_kind kind;
    double first_ns, second_ns;
};

/** "exponential 500ms", "uniform 100ms 900ms", "normal 500ms 100ms", "lognormal 500ms 100ms" or
 *  "500ms"; an hour at the most. -EINVAL with text. */
int pause_parse(const char *text, struct pause *ret_pause, struct peer_error *error);
/** At most 24 hours. */
uint64_t pause_draw_ns(const struct pause *pause, struct rng *rng);
/** From one to the next of what happens so often, by itself and without a memory. */
double pause_exponential_ns(double mean_ns, struct rng *rng);

#endif
