/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_SLO_H
#define SOAK_SLO_H

#include "soak/result.h"

#include <peer/slo.h>

/** An objective (the grammar is in peer/slo.h), as a value. */
struct slo {
    char text[80];
    uint8_t metric;    /* of the table in slo.c */
    uint8_t histogram; /* latencies: enum peer_soak_histogram */
    double percentile; /* of a latency; below 0: its mean; 0 and 100: min and max */
    bool less, or_equal;
    bool share; /* of all that was asked for */
    bool each;
    double bound; /* us for latencies; 0 to 1 for shares */
};
/** -EINVAL with text. */
int slo_parse(const char *text, struct slo *ret_slo, struct peer_error *error);
bool slo_is_errors(const struct slo *slo);
/** See peer_result_keeps_up. */
bool result_keeps_up(const struct result *result);
void slo_judge(const struct slo *slo, const struct result *result,
               struct peer_slo_verdict *ret_verdict);

#endif
