/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_MEASURE_H
#define SOAK_MEASURE_H

#include "soak/result.h"

/**
 * The figures of a run while it goes on: what was found so far, and its series by intervals. Latencies
 * as in result.h.
 */
struct measure {
    struct figures found;
    struct hdr_histogram *interval_request;
    struct peer_soak_counts before; /* counts at the start of this interval */
    bool closed;                    /* the measured time is over; stragglers still count */
    uint64_t start_ns, interval_start_ns, end_ns;
    struct result_interval *intervals; /* complete and not taken yet */
    size_t interval_count, interval_room, interval_taken;
};

int measure_init(struct measure *measure, uint64_t now_ns);
void measure_done(struct measure *measure);
/** Forgets what was measured: the warm-up was over at `start_ns`, now or a little earlier. */
void measure_restart(struct measure *measure, uint64_t start_ns);
void measure_latency(struct measure *measure, enum peer_soak_histogram which, uint64_t ns);
/** From one time to another that may be earlier: what came unasked may have come before. */
void measure_since(struct measure *measure, enum peer_soak_histogram which, uint64_t from_ns,
                   uint64_t until_ns);
/** Ends an interval; `open` connections now. Without memory it is lost from the series. */
void measure_interval(struct measure *measure, uint64_t now_ns, uint64_t open);
/** The measured time ends, and with it its last interval. Once: later calls do nothing. */
void measure_close(struct measure *measure, uint64_t now_ns, uint64_t open);
/** All is over. What was done after the end is an interval of its own; connections that were only
 *  closed since are the last one's. */
void measure_end(struct measure *measure, uint64_t now_ns, uint64_t open);
/** 1, and the interval is the caller's; 0 when there is none. */
int measure_pop_interval(struct measure *measure, struct result_interval *ret_interval);

#endif
